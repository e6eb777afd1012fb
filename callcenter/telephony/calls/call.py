"""One call: its leg, language and dependencies, and its outcome if the caller leaves now."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from callcenter.platform.core.late_answers import answer_within
from callcenter.telephony.acd.rules.call_alerts import CallAlert
from callcenter.telephony.acd.rules.call_commands import CommandRouter
from callcenter.telephony.calls.outcomes import CallEvent, Outcome, Urgency
from callcenter.telephony.calls.ports import (
    AppealStatusLookup,
    CallDistributor,
    CallRecordPort,
    Leg,
    LegHungUp,
    LegLost,
    QueueMonitor,
    QueuePlace,
    Sounds,
    Switch,
)

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds until the switch, which does not have a leg, has said how it ended: a moment, but for one
#: that has just begun and is compared with what we have.
END_REPORT_LIMIT = 5.0


class CallTimings(Protocol):
    """Durations of the call in seconds; `callcenter.platform.core.settings` has them."""

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


SHOWN_KEYS_LIMIT = 20  # keys of a caller that the consultant sees


def _new_key_buffer() -> deque[str]:
    return deque(maxlen=SHOWN_KEYS_LIMIT)


def _refuse_number(number: str) -> str | None:  # noqa: ARG001
    return None


async def _never_urgent() -> bool:
    return False


async def _always_welcome(number: str) -> None:
    pass


def _ignore_claim(consultant: str) -> None:
    pass


@dataclass
class Call:
    """A caller, from answer to outcome. `if_left` is the outcome if the caller leaves now.

    `blocked`: the number is on the blocklist. `urgencies` are in the order in which the caller
    signalled them; `urgent` is set with the first.
    """

    leg: Leg
    record: CallRecordPort
    sounds: Sounds
    switch: Switch
    distributor: CallDistributor
    queue: QueueMonitor
    times: CallTimings
    number: str | None = None  #: of the caller, if it may be called
    #: Returns a number in the form in which it is dialled, None when it may not be.
    may_call: Callable[[str], str | None] = _refuse_number
    #: Raises CommandRefused when the person at a number is not to be called now (safe contact),
    #: and OperationFailed fast when that cannot be known.
    check_contact: Callable[[str], Awaitable[None]] = _always_welcome
    status_lookup: AppealStatusLookup | None = None  #: by telephone (R13)
    #: Whether the appeal has danger or another urgency; raises OperationFailed fast.
    is_urgent_on_record: Callable[[], Awaitable[bool]] = _never_urgent
    reserved_place: QueuePlace | None = None  #: of a callback: leased before dialling
    is_callback: bool = False
    blocked: bool = False
    language: str = "kk"
    is_language_chosen: bool = False
    other_language: str | None = None  #: of the consultant, if the caller agreed to another
    if_left: Outcome = Outcome.LEFT_IN_GREETING
    recording_notice_played: bool = False
    recording_unconfirmed: bool = False
    #: set while recording; gets the reason why it failed
    on_recording_lost: Callable[[str], None] | None = None
    #: Called with the extension of the consultant who is gone, when a supervisor who had joined
    #: got the caller without an order.
    on_supervisor_claimed: Callable[[str], None] = _ignore_claim
    consultant_hung_up: bool = False  #: the consultant ended the conversation
    previous_call_dropped: bool = False  #: by a fault of ours, recently
    #: Extension of the consultant of the open appeal, or of the care plan.
    preferred_consultant: str | None = None
    is_resumed: bool = False  #: another controller had it: no second greeting
    waits_since: float | None = None  #: epoch seconds; a caller who comes back keeps the place
    patience_ends: float = 0.0  #: on the monotonic clock
    #: Rounds of patience since the last sign of the caller; only urgent callers have several.
    rounds: int = 1
    #: The last keys of the caller in this conversation.
    keys_seen: deque[str] = field(default_factory=_new_key_buffer)
    urgencies: list[Urgency] = field(default_factory=list)
    urgent: asyncio.Event = field(default_factory=asyncio.Event)
    _places: int = 0
    #: Commands of the consultant and of supervisors.
    commands: CommandRouter = field(default_factory=CommandRouter)

    def __post_init__(self) -> None:
        if self.urgencies:
            self.urgent.set()

    @property
    def consultant_language(self) -> str:
        """Language in which a consultant speaks with the caller."""
        return self.other_language or self.language

    def restart_patience(self) -> None:
        """Start the patience timer anew: the caller starts waiting, or chose to stay."""
        self.rounds = 1
        self.patience_ends = time.monotonic() + self.times.patience

    def extend_patience(self) -> None:
        """Start another round of patience without a sign of the caller."""
        self.rounds += 1
        self.patience_ends = time.monotonic() + self.times.patience

    @property
    def is_last_round(self) -> bool:
        """Whether an urgent caller goes to 1414 when this round of patience ends."""
        return bool(self.urgencies) and self.rounds >= self.times.urgent_rounds

    def next_place_id(self) -> str:
        """Return an id for another queue place of this call, see `command_bus.first_id`."""
        self._places += 1
        return f"{self.leg.id}+{self._places}"

    async def say(self, *prompts: str, until_key: bool = True) -> str | None:
        """Play prompts in the caller's language; a key ends them and is returned."""
        sounds = [self.sounds.sound(self.language, prompt) for prompt in prompts]
        return await self.leg.play(sounds, until_key=until_key)

    def mark_urgent(self, why: Urgency) -> None:
        """Record an urgency once; each signal restarts patience, for the caller is still there."""
        self.restart_patience()
        if why not in self.urgencies:
            self.urgencies.append(why)
            self.record.add_event(CallEvent.URGENT, reason=why.value)
            self.record.set_urgencies(self.urgencies)
            self.urgent.set()

    async def alert_urgent_waiting(self) -> None:
        """Alert supervisors, not too often, that this urgent caller waits for too long."""
        is_new: bool | None = None  # not known, also where an answer to the caller cancels this
        try:
            is_new = await self.queue.alert_urgent_waiting(self.leg.id, self.consultant_language)
        finally:
            if is_new is not False:
                self._record_alert(CallAlert.URGENT_WAITS)

    async def alert_not_recorded(self) -> None:
        """Alert supervisors that this conversation is perhaps not recorded."""
        self._record_alert(CallAlert.NOT_RECORDED)
        await self.queue.alert_not_recorded(self.leg.id, self.consultant_language)

    def _record_alert(self, alert: CallAlert) -> None:
        """Record an alert on the appeal, from which the worker raises it where Redis lost it."""
        self.record.add_event(
            CallEvent.ALERTED, raises=alert.id_of(self.leg.id), language=self.consultant_language
        )


async def while_connected(leg: Leg, work: Coroutine[Any, Any, T]) -> T:
    """Run `work` until it ends or the leg hangs up, then cancel it and raise LegHungUp.

    When this returns or raises, `work` has ended and released what it held.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(leg.wait_hangup())
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return await working
        working.cancel()
        await asyncio.wait((working,))
        leaving.result()
        raise LegHungUp(f"leg {leg.id} hung up")
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def has_vanished(leg: Leg) -> bool:
    """Whether a leg that the switch does not have has vanished with it, and not hung up.

    The switch may refuse what is requested for a leg before it reports how the leg ended.
    """
    try:
        async with answer_within(END_REPORT_LIMIT):
            await leg.wait_hangup()
    except LegLost:
        return True
    except TimeoutError:
        log.warning("end of leg %s not reported: taken for a hang-up", leg.id)
    return False


async def run_to_completion(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end, also when this is cancelled meanwhile.

    CancelledError is raised only then, so that the journal is closed after all of its entries.
    `work` needs a time limit of its own.
    """
    working = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        while not working.done():
            with suppress(asyncio.CancelledError):  # a second cancellation waits as well
                await asyncio.wait((working,))
        raise
