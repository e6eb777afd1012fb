"""What the flow of a call needs from the world, in the words of the call.

`callcenter.asterisk` implements the legs and the switch, `callcenter.app` puts the rest together.
Every method of a leg raises `LegGone` when that leg has hung up, `LegLost` when it vanished
without a goodbye (the switch failed); both may be caught as `LegGone`.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import date, datetime
from pathlib import Path
from typing import Protocol
from uuid import UUID

from callcenter.consultants.skills import LOWEST
from callcenter.errors import CallcenterError, WeFailed
from callcenter.line.outcomes import Moment, Urgency


class LegGone(CallcenterError):
    """The leg hung up."""


class LegLost(LegGone):
    """The leg vanished without hanging up: the switch failed."""


class NotAnswered(CallcenterError):
    """The leg that was called did not answer; the message is the reason in one word."""


class RecordingUnproved(WeFailed):
    """It cannot be proved that the recording started, or that it stopped."""


class Leg(Protocol):
    """One party's connection with the switch."""

    @property
    def id(self) -> str:
        """The switch's unique id of this leg."""

    @property
    def died(self) -> bool:
        """Whether it ended without a goodbye: the telephone, or the way to it, is dead."""

    async def answer(self) -> None:
        """Answer an incoming leg."""

    async def play(self, sounds: Sequence[str], *, until_key: bool = True) -> str | None:
        """Play to the end, or until a key is pressed (the key, which is used up)."""

    async def speaks(self, language: str) -> None:
        """Have the switch know the caller's language, for when we are away. Nothing may play."""

    async def key(self, timeout: float) -> str | None:
        """The next key, pressed already or within `timeout` seconds."""

    def watched(self, take: Callable[[str], bool]) -> AbstractContextManager[None]:
        """Within the block each key is given to `take` as it is pressed, whoever asks for keys.

        What it takes (True) nobody else gets. The outermost of several blocks is asked first.
        """

    def holds(self, take: Callable[[bool], None]) -> AbstractContextManager[None]:
        """Within the block `take` is told when the telephone holds (True) and resumes (False)."""

    def music(self) -> AbstractAsyncContextManager[None]:
        """Music on hold for as long as the block lasts."""

    async def mute(self, muted: bool) -> None:
        """Whether what this party says is heard by nobody."""

    async def hint(self, sounds: Sequence[str]) -> None:
        """Play to this party alone, whoever it talks with. Returns at once; a fault is logged."""

    def ringing(self) -> AbstractAsyncContextManager[None]:
        """The sound of a telephone that rings somewhere, for as long as the block lasts."""

    async def gone(self) -> None:
        """Return when the leg has hung up; raises LegLost when it vanished."""

    async def hang_up(self) -> None:
        """End the leg; no error when it has gone already."""

    async def leave_to_fallback(self) -> None:
        """Give the leg to the dialplan's own fallback, which needs none of our software."""


class Room(Protocol):
    """Where legs hear each other."""

    async def enter(self, *legs: Leg) -> None:
        """From now on these legs hear the others, and they hear them.

        Raises LegGone when one of several has hung up, each of which may be inside then or not.
        """

    async def ensure(self, leg: Leg) -> None:
        """As `enter`, of one who may be inside already, and notices nothing then."""

    async def leave(self, leg: Leg) -> None:
        """From now on it hears nobody; no error when it has hung up."""


class Switch(Protocol):
    """What connects legs."""

    def ring(
        self, extension: str, caller: Leg | None, shown: str, timeout: float
    ) -> AbstractAsyncContextManager[Leg]:
        """A consultant's leg once answered; hung up at the end.

        Raises NotAnswered, LegGone when the caller has hung up meanwhile. The telephone shows 111
        and `shown`: the caller's language, so that the greeting is in it, and why the call is
        urgent. Letters, digits and spaces of ASCII only. Nobody is the caller when consultants are
        rung for calls of their own.
        """

    def call_unified_center(self, caller: Leg, timeout: float) -> AbstractAsyncContextManager[Leg]:
        """1414's leg once answered; hung up at the end. Raises NotAnswered."""

    def call_number(
        self, number: str, shown: str, timeout: float, *, beside: Leg | None = None
    ) -> AbstractAsyncContextManager[Leg]:
        """The leg of a telephone number, called by the operator, once it has answered.

        Hung up at the end. `shown` is the number that the called party sees; `beside` is the leg
        in whose call this one is. Raises NotAnswered.
        """

    def room(self, caller: Leg) -> AbstractAsyncContextManager[Room]:
        """A room for a caller's conversation, with nobody in it; keys in it are for us.

        At the end everybody has left it, and their legs go on.
        """

    def connected(
        self, one: Leg, other: Leg, *, keys_to_us: bool = True
    ) -> AbstractAsyncContextManager[None]:
        """The two hear each other within the block.

        Keys are for us and not heard by the other, or else they go through to the other's menus.
        Raises LegGone when `one` has hung up meanwhile, NotAnswered when `other` has.
        """

    def overheard(
        self, party: Leg, listener: Leg, *, whispering: bool
    ) -> AbstractAsyncContextManager[None]:
        """Within the block `listener` hears all that `party` says and hears.

        Nobody hears the listener; when `whispering`, `party` alone does, and no recording has it.
        Raises LegGone when `party` has hung up, NotAnswered when the listener has.
        """

    async def start_recording(self, caller: Leg, file: Path) -> None:
        """Record in two channels what the caller says and hears, until stopped or hung up.

        Raises RecordingUnproved when it cannot be proved that it runs.
        """

    async def stop_recording(self, caller: Leg, file: Path) -> None:
        """Return when it is proved that nothing more is recorded into `file`.

        Raises RecordingUnproved when that cannot be proved.
        """


class Progress(Protocol):
    """How an appeal stands, as far as its applicant is told by telephone."""

    @property
    def stage(self) -> str:
        """registered, in_work, forwarded, answered or closed."""

    @property
    def extended(self) -> bool: ...

    @property
    def due_on(self) -> date | None:
        """The last day of the term that runs."""


class Appeals(Protocol):
    """Appeals whose applicants ask how they stand."""

    def is_number(self, typed: str) -> bool:
        """Whether this could be an appeal's number: its check digit is right."""

    async def of(
        self, number: str, proof: str, call_id: str, caller: str | None
    ) -> Progress | None:
        """How the appeal stands, for who proves that it is theirs; None for anybody else.

        Raises WeFailed when that cannot be looked up.
        """


class Consultant(Protocol):
    """Somebody who may be rung."""

    @property
    def id(self) -> UUID: ...

    @property
    def extension(self) -> str: ...


class Place(Protocol):
    """A place in the queue."""

    async def offer(self, timeout: float) -> Consultant | None:
        """The consultant leased to this call, or None after `timeout` seconds.

        A lease ends with `give_back`, with the place, or with the death of this process.
        """

    def rings(self) -> None:
        """The consultant leased to this call is being rung; returns at once."""

    def answered(self, *, alone: bool = False) -> None:
        """The consultant leased to this call has answered; returns at once.

        `alone`: and talks with nobody, so that it says nothing of how long conversations are.
        """

    async def give_back(self, *, unanswered: bool) -> None:
        """End the lease. Who did not answer rests for a moment, and twice in a row is paused."""


class Desk(Protocol):
    """Who waits and who is free."""

    async def now(self) -> float:
        """Epoch seconds by the one clock by which places are given; soon, and without fail."""

    def place(
        self,
        call_id: str,
        language: str,
        *,
        arrived: float,
        urgent: bool,
        skill: str | None = None,
        level: int = LOWEST,
        preferred: str | None = None,
        consultant: str | None = None,
    ) -> AbstractAsyncContextManager[Place]:
        """A place in the queue for those who speak `language`; given up with the block.

        With `skill` it is for those who have it at `level` at least; with `consultant`, an
        extension, for nobody else.

        `arrived` is in epoch seconds: whoever came earlier is served earlier, after the urgent.
        The consultant with the extension `preferred` is taken if free as the call begins to wait.
        """

    def occupied(self, call_id: str, extension: str) -> AbstractAsyncContextManager["Occupation"]:
        """Within the block this consultant is offered nobody. Raises AskedWrongly when not free."""


class Occupation(Protocol):
    """A consultant who is with somebody without having been offered to them."""

    talked: bool  #: and so goes to wrap-up


class Standing(Protocol):
    """How a call stands in the queue, at one moment."""

    @property
    def position(self) -> int:
        """1 is next; 0: the call does not wait, or not yet."""

    @property
    def expected_wait(self) -> float | None:
        """Seconds; None when it cannot be foretold."""

    @property
    def speakers(self) -> int:
        """Consultants signed in who speak the language asked for."""

    @property
    def other_languages(self) -> Collection[str]:
        """Languages in which somebody else is signed in."""


class Queue(Protocol):
    """What is known of those who wait and of those who are signed in."""

    async def standing(self, call_id: str, language: str) -> Standing:
        """How a call stands among those who wait for `language`. Raises WeFailed, soon."""

    async def nobody_signed_in(self, call_id: str, language: str) -> None:
        """Alarm the supervisors: nobody who speaks `language` is there for this call."""

    async def urgent_waits(self, call_id: str, language: str) -> None:
        """Alarm the supervisors: an urgent caller waits, and has for too long."""

    async def not_recorded(self, call_id: str, language: str) -> None:
        """Alarm the supervisors: it cannot be proved that this conversation is recorded."""

    async def recorded_again(self, call_id: str, language: str) -> None:
        """Tell the supervisors that this conversation is recorded from now on."""


class Sounds(Protocol):
    """What callers hear."""

    def sound(self, language: str, prompt: str) -> str:
        """The switch's name of a prompt."""


class Record(Protocol):
    """What is kept of one call; writing never waits for the database."""

    def moment(self, moment: Moment, **detail: str | bool | float) -> None: ...

    def language(self, language: str) -> None: ...

    def urgent(self, urgencies: Sequence[Urgency]) -> None: ...

    def consultant(self, consultant_id: UUID) -> None: ...

    def recording_started(
        self, recording_id: UUID, consultant_id: UUID | None, file: str
    ) -> None: ...

    def recording_stopped(self, recording_id: UUID) -> None: ...

    async def callback_promised(
        self, *, number: str, language: str, arrived: float, urgent: bool
    ) -> None:
        """Return when it is kept for good that this number is called back.

        `arrived`, in epoch seconds, is the place that is kept. Raises WeFailed, within seconds,
        when it is not certain.
        """

    async def message_promised(
        self, *, recording_id: UUID, language: str, arrived: float, urgent: bool
    ) -> None:
        """Return when it is kept for good that a consultant hears this recording.

        Raises WeFailed, within seconds, when it is not certain.
        """

    def message_empty(self, recording_id: UUID) -> None:
        """Nothing was said: nobody has to hear this recording."""

    def over_since(self, at: datetime) -> None:
        """The switch died then, and the call with it: nothing is put down as later than that."""


class OutgoingRecord(Record, Protocol):
    """What is kept of a call of ours."""

    def carried_by(self, leg_id: str) -> None:
        """This leg lives as long as the call from now on."""
