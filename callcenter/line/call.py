"""One call in our hands: its leg, its language, and what becomes of it if the caller leaves now."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from callcenter.consultants.orders import Orders
from callcenter.line.outcomes import Moment, Outcome, Urgency
from callcenter.line.ports import Appeals, Desk, Leg, LegGone, Place, Queue, Record, Sounds, Switch

T = TypeVar("T")


class Times(Protocol):
    """Durations of the call in seconds; `callcenter.settings` has them."""

    @property
    def key_timeout(self) -> float: ...
    @property
    def ring_timeout(self) -> float: ...
    @property
    def announce_every(self) -> float: ...
    @property
    def ask_every(self) -> float: ...
    @property
    def patience(self) -> float: ...
    @property
    def urgent_rounds(self) -> int: ...
    @property
    def urgent_alarm(self) -> float: ...
    @property
    def unified_ring_timeout(self) -> float: ...
    @property
    def message_limit(self) -> float: ...
    @property
    def message_shortest(self) -> float: ...
    @property
    def redirect_keys(self) -> str: ...
    @property
    def survey_always(self) -> bool: ...
    @property
    def shown_number(self) -> str: ...
    @property
    def spool(self) -> Path: ...


KEYS_SHOWN = 20  # to the consultant, of one conversation


def _few_keys() -> deque[str]:
    return deque(maxlen=KEYS_SHOWN)


def _nothing(number: str) -> str | None:  # noqa: ARG001
    return None


async def _not_in_need() -> bool:
    return False


@dataclass
class Call:
    """A caller, from answer to outcome. `if_left` is the outcome should the caller leave now.

    `blocked`: calls from this number are not taken for a time. `urgencies` are in the order in
    which they were told; `urgent` is set with the first.
    """

    leg: Leg
    record: Record
    sounds: Sounds
    switch: Switch
    desk: Desk
    queue: Queue
    times: Times
    number: str | None = None  #: from which the caller calls, if we may call it
    may_call: Callable[[str], str | None] = _nothing  #: the number as it is called, if it may be
    progress: Appeals | None = None  #: of which callers may ask how they stand
    #: Whether danger or another urgency stands on the appeal; WeFailed, soon, when it is not known.
    is_in_need: Callable[[], Awaitable[bool]] = _not_in_need
    held: Place | None = None  #: of a callback: it has a consultant before anybody is called
    is_callback: bool = False
    blocked: bool = False
    language: str = "kk"
    language_settled: bool = False
    other_language: str | None = None  #: of the consultants, once the caller has agreed to it
    if_left: Outcome = Outcome.LEFT_IN_GREETING
    notice_heard: bool = False
    recording_unproved: bool = False
    #: while it is recorded: says why it is not any more
    spoil_recording: Callable[[str], None] | None = None
    hung_up: bool = False  #: the consultant ended the conversation
    lost_before: bool = False  #: our fault ended the caller's last call, a short while ago
    had_by: str | None = None  #: extension of who had the open appeal lately, or whom a plan names
    goes_on: bool = False  #: another controller had it: nobody is greeted twice
    waits_since: float | None = None  #: epoch seconds; a caller who comes back keeps the place
    patience_ends: float = 0.0  #: on the monotonic clock: then nobody is looked for any more
    #: Of patience, since the caller was last heard of; only urgent callers have several.
    rounds: int = 1
    keys_seen: deque[str] = field(default_factory=_few_keys)  #: of the conversation, the last ones
    urgencies: list[Urgency] = field(default_factory=list)
    urgent: asyncio.Event = field(default_factory=asyncio.Event)
    _places: int = 0
    orders: Orders = field(default_factory=Orders)  #: of its consultant and of supervisors

    def __post_init__(self) -> None:
        if self.urgencies:
            self.urgent.set()

    @property
    def wanted_language(self) -> str:
        """The language in which a consultant is to speak with the caller."""
        return self.other_language or self.language

    def waits_on(self) -> None:
        """The caller begins to wait, or chose to wait on: the time of it begins anew."""
        self.rounds = 1
        self.patience_ends = time.monotonic() + self.times.patience

    def waits_longer(self) -> None:
        """Another round of patience begins, without a word of the caller's."""
        self.rounds += 1
        self.patience_ends = time.monotonic() + self.times.patience

    @property
    def is_last_round(self) -> bool:
        """Whether an urgent caller goes to 1414 when patience ends the next time."""
        return bool(self.urgencies) and self.rounds >= self.times.urgent_rounds

    def next_place(self) -> str:
        """The id of another place at the desk that this call has, see `dispatch.first_id`."""
        self._places += 1
        return f"{self.leg.id}+{self._places}"

    async def say(self, *prompts: str, until_key: bool = True) -> str | None:
        """Play prompts in the caller's language; a key ends them and is returned."""
        sounds = [self.sounds.sound(self.language, prompt) for prompt in prompts]
        return await self.leg.play(sounds, until_key=until_key)

    def becomes_urgent(self, why: Urgency) -> None:
        """Put down why the call is urgent; more than once is once, and says who is there yet."""
        self.waits_on()
        if why not in self.urgencies:
            self.urgencies.append(why)
            self.record.moment(Moment.URGENT, reason=why.value)
            self.record.urgent(self.urgencies)
            self.urgent.set()


async def while_there(leg: Leg, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, unless the leg goes first: then `work` is cancelled, LegGone raised.

    When this returns or raises, `work` has ended, with all that it took given back.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(leg.gone())
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return await working
        working.cancel()
        await asyncio.wait((working,))
        leaving.result()
        raise LegGone(f"leg {leg.id} hung up")
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is finished also when this is cancelled meanwhile.

    Only then is CancelledError raised: whoever closes the journal after us misses nothing of it.
    `work` has to have a limit of time of its own.
    """
    working = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        while not working.done():
            with suppress(asyncio.CancelledError):  # who cancels once more waits as well
                await asyncio.wait((working,))
        raise
