"""Ports of a call: the protocols through which it uses switch, queue, records and prompts.

`asterisk` implements the legs and the switch, `bootstrap.controller` puts the rest together.
Every method of a leg raises `LegHungUp` when that leg has hung up, `LegLost` when it vanished
without a hangup (the switch failed); both may be caught as `LegHungUp`.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol
from uuid import UUID

from callcenter.platform.core.errors import CallcenterError, OperationFailed
from callcenter.telephony.acd.rules.transfer_target import ANY_CONSULTANT, TransferTarget
from callcenter.telephony.calls.outcomes import CallEvent, Urgency


class LegHungUp(CallcenterError):
    """The leg hung up."""


class LegLost(LegHungUp):
    """The leg vanished without hanging up: the switch failed."""


class NotAnswered(CallcenterError):
    """A dialled leg did not answer; the message is the reason in one word."""


class RecordingUnconfirmed(OperationFailed):
    """No event confirms that a recording started, or that it stopped."""


class TransferReport(StrEnum):
    """The word to a telephone of the transfer that it requested."""

    STARTED = "started"
    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class TransferRequest:
    """A transfer requested by a telephone (REFER, RFC 3515).

    `target` is the user in Refer-To. `replaced` is the name of the channel of another call of a
    telephone that the transfer is to replace (RFC 3891): the transfer is attended; empty when the
    switch has no such call. None: blind.
    """

    target: str
    replaced: str | None = None


class Leg(Protocol):
    """Connection of one party with the switch."""

    @property
    def id(self) -> str:
        """Unique id of this leg in the switch."""

    @property
    def connection_lost(self) -> bool:
        """Whether the leg ended without a hangup: the telephone or the network failed."""

    @property
    def is_held(self) -> bool:
        """Whether the telephone holds this leg."""

    async def answer(self) -> None:
        """Answer an incoming leg."""

    async def play(self, sounds: Sequence[str], *, until_key: bool = True) -> str | None:
        """Play to the end, or until a key is pressed (the key, which is used up)."""

    async def set_language(self, language: str) -> None:
        """Set the language that the fallback dialplan uses. Nothing may be playing."""

    async def key(self, timeout: float) -> str | None:
        """Return the next key, already pressed or pressed within `timeout` seconds, else None."""

    def intercept_dtmf(self, take: Callable[[str], bool]) -> AbstractContextManager[None]:
        """Within the block pass each key to `take` as it is pressed, before `key` and `play`.

        A key for which `take` returns True is consumed. The outermost of several blocks is first.
        """

    def on_hold_change(self, take: Callable[[bool], None]) -> AbstractContextManager[None]:
        """Within the block call `take` when the telephone holds (True) and resumes (False)."""

    def on_transfer(self, take: Callable[[TransferRequest], None]) -> AbstractContextManager[None]:
        """Within the block call `take` for each transfer that the telephone requests.

        Outside of it a transfer is refused. Each is answered with `report_transfer`.
        """

    async def report_transfer(self, report: TransferReport) -> None:
        """Tell the telephone of its transfer; nothing when it waits for no answer."""

    def music(self) -> AbstractAsyncContextManager[None]:
        """Play music on hold within the block."""

    async def mute(self, muted: bool) -> None:
        """Mute or unmute this party for all others."""

    async def packets_received(self) -> int:
        """Count the RTP packets received of this party since its leg began."""

    async def play_privately(self, sounds: Sequence[str]) -> None:
        """Play to this party alone, in any bridge. Returns at once; a fault is logged."""

    def ringing(self) -> AbstractAsyncContextManager[None]:
        """Play ringback tone within the block."""

    async def wait_hangup(self) -> None:
        """Return when the leg has hung up. Raises LegLost when it vanished."""

    async def hang_up(self) -> None:
        """Hang up the leg; no error when it has ended already."""

    async def continue_in_fallback(self) -> None:
        """Continue the leg in the fallback dialplan, which needs none of our software."""


class Bridge(Protocol):
    """Audio bridge: its legs hear each other."""

    async def enter(self, *legs: Leg) -> None:
        """Add legs to the bridge.

        Raises LegHungUp when one of them has hung up; any of the others may be inside then.
        """

    async def ensure(self, leg: Leg) -> None:
        """Add a leg unless it is inside already; without an audible gap."""

    async def leave(self, leg: Leg) -> None:
        """Remove a leg from the bridge; no error when it has hung up."""


class Switch(Protocol):
    """Telephone switch: dials, bridges, snoops and records legs."""

    def ring(
        self, extension: str, caller: Leg | None, shown: str, timeout: float
    ) -> AbstractAsyncContextManager[Leg]:
        """Ring a consultant; gives the answered leg, hung up at the end of the block.

        Raises NotAnswered, LegHungUp when the caller has hung up meanwhile. The telephone shows 111
        and `shown`: the caller's language, so that the greeting is in it, and why the call is
        urgent. Letters, digits and spaces of ASCII only. `caller` is None when the consultant is
        rung for an outbound call or a voicemail.
        """

    def call_unified_center(self, caller: Leg, timeout: float) -> AbstractAsyncContextManager[Leg]:
        """Dial 1414; gives the answered leg, hung up at the end. Raises NotAnswered."""

    def call_number(
        self, number: str, shown: str, timeout: float, *, beside: Leg | None = None
    ) -> AbstractAsyncContextManager[Leg]:
        """Dial a number over the trunk; gives the answered leg, hung up at the end.

        `shown` is the caller ID that the called party sees; `beside` is the leg in whose call this
        one is. Raises NotAnswered.
        """

    def bridge(self, caller: Leg) -> AbstractAsyncContextManager[Bridge]:
        """Create an empty bridge for a caller's conversation; keys in it are intercepted.

        At the end of the block all legs have left it and stay up.
        """

    def connect(
        self, one: Leg, other: Leg, *, keys_to_us: bool = True
    ) -> AbstractAsyncContextManager[None]:
        """Bridge two legs within the block.

        With `keys_to_us` keys are intercepted, else they pass through to the other's menus.
        Raises LegHungUp when `one` has hung up meanwhile, NotAnswered when `other` has.
        """

    def snoop(
        self, party: Leg, listener: Leg, *, whispering: bool
    ) -> AbstractAsyncContextManager[None]:
        """Within the block `listener` hears all that `party` says and hears (snoop channel).

        Nobody hears the listener; when `whispering`, `party` alone does, and no recording.
        Raises LegHungUp when `party` has hung up, NotAnswered when the listener has.
        """

    async def start_recording(self, caller: Leg, file: Path) -> None:
        """Record in stereo what the caller says and hears, until stopped or hung up.

        Raises RecordingUnconfirmed when no event confirms that it runs.
        """

    async def stop_recording(self, caller: Leg, file: Path) -> bool:
        """Stop recording into `file`; returns when that is confirmed.

        Returns whether it is empty: neither side sent a packet. Raises RecordingUnconfirmed when no
        event confirms it.
        """


class AppealStatus(Protocol):
    """Status of an appeal, as far as it is told by telephone."""

    @property
    def stage(self) -> str:
        """registered, in_work, forwarded, answered or closed."""

    @property
    def extended(self) -> bool: ...

    @property
    def due_on(self) -> date | None:
        """The current deadline."""

    @property
    def sources(self) -> Sequence[object]:
        """The state bodies that have it, as far as they may be named (R22)."""

    @property
    def telephone(self) -> str | None:
        """The telephone of all of them, E.164 or short, if they have one."""


class AppealStatusLookup(Protocol):
    """Looks up the status of an appeal for its applicant."""

    def is_number(self, typed: str) -> bool:
        """Whether this may be an appeal number: its check digit is right."""

    async def look_up(
        self, number: str, proof: str, call_id: str, caller: str | None
    ) -> AppealStatus | None:
        """Return the status of an appeal, None when the number or the proof is wrong.

        Raises OperationFailed when the look-up fails.
        """


class ConsultantPort(Protocol):
    """A consultant who can be rung."""

    @property
    def id(self) -> UUID: ...

    @property
    def extension(self) -> str: ...


class QueuePlace(Protocol):
    """Place of a call in the queue, and its lease of a consultant."""

    async def wait_for_offer(self, timeout: float) -> ConsultantPort | None:
        """Wait for a consultant; returns the leased one, None after `timeout` seconds.

        The lease ends with `release`, with the place, or with this process.
        """

    def mark_ringing(self) -> None:
        """Report that the leased consultant is being rung; returns at once."""

    def mark_answered(self) -> None:
        """Report that the leased consultant has answered; returns at once."""

    async def release(self, *, unanswered: bool) -> None:
        """End the lease. After one missed offer the consultant rests, after two is paused."""


class CallDistributor(Protocol):
    """Automatic call distributor (ACD): queue of calls and leases of consultants."""

    async def now(self) -> float:
        """Return epoch seconds by the clock of the queue; fast, and never fails."""

    def place(
        self,
        call_id: str,
        language: str,
        *,
        arrived: float,
        urgent: bool,
        target: TransferTarget = ANY_CONSULTANT,
        preferred: str | None = None,
    ) -> AbstractAsyncContextManager[QueuePlace]:
        """Queue a call for consultants who speak `language`; dequeued with the block.

        With a `target` only those fit whom it names, one consultant or those with a skill.

        `arrived` is in epoch seconds: first come, first served, after urgent calls. The consultant
        with the extension `preferred` is leased if free when the call enters the queue.
        """

    def reserve(self, call_id: str, extension: str) -> AbstractAsyncContextManager["Reservation"]:
        """Reserve a consultant within the block. Raises InvalidRequest when not free."""


class Reservation(Protocol):
    """Reservation of a consultant for a call that was not offered by the distributor."""

    has_talked: bool  #: wrap-up follows


class QueuePosition(Protocol):
    """Position of a call in the queue, at one moment."""

    @property
    def position(self) -> int:
        """1 is next; 0: the call is not in the queue."""

    @property
    def expected_wait(self) -> float | None:
        """Seconds; None when it cannot be estimated."""

    @property
    def speakers(self) -> int:
        """Number of signed-in consultants who speak the language."""

    @property
    def other_languages(self) -> Collection[str]:
        """Other languages that signed-in consultants speak."""


class QueueMonitor(Protocol):
    """Reads positions in the queue, and alerts supervisors."""

    async def position_of(self, call_id: str, language: str) -> QueuePosition:
        """Return the position of a call among those for `language`. Raises OperationFailed fast."""

    async def alert_nobody_signed_in(self, call_id: str, language: str) -> None:
        """Alert supervisors: no consultant who speaks `language` is signed in for this call."""

    async def alert_urgent_waiting(self, call_id: str, language: str) -> bool | None:
        """Alert supervisors: an urgent caller waits for too long.

        False when they were alerted lately, None when that is not certain.
        """

    async def alert_not_recorded(self, call_id: str, language: str) -> None:
        """Alert supervisors: the recording of this conversation is unconfirmed."""

    async def alert_recording_restored(self, call_id: str, language: str) -> None:
        """Tell supervisors that this conversation is recorded from now on."""


class Sounds(Protocol):
    """Prompts by language."""

    def sound(self, language: str, prompt: str) -> str:
        """Return the media URI of a prompt."""


class CallRecordPort(Protocol):
    """Record of one call; writing never waits for the database, save where it says so."""

    def add_event(self, event: CallEvent, **detail: str | bool | float) -> None: ...

    def set_language(self, language: str) -> None: ...

    def set_urgencies(self, urgencies: Sequence[Urgency]) -> None: ...

    def assign_consultant(self, consultant_id: UUID) -> None: ...

    def recording_started(
        self, recording_id: UUID, consultant_id: UUID | None, file: str
    ) -> None: ...

    def recording_stopped(self, recording_id: UUID) -> None: ...

    async def register_callback(
        self, *, number: str, language: str, arrived: float, urgent: bool
    ) -> None:
        """Register a callback request; returns when it is stored durably.

        `arrived`, in epoch seconds, is its place in the queue. Raises OperationFailed, within
        seconds, when it is not certain."""

    async def register_voicemail(
        self, *, recording_id: UUID, language: str, arrived: float, urgent: bool
    ) -> None:
        """Register a voicemail for delivery; returns when it is stored durably.

        Raises OperationFailed, within seconds, when it is not certain.
        """

    def discard_voicemail(self, recording_id: UUID) -> None:
        """Discard a voicemail without speech: it is not delivered."""

    def set_end_time(self, at: datetime) -> None:
        """Set when the call ended with the switch: no later time is recorded."""


class OutboundRecordPort(CallRecordPort, Protocol):
    """Record of an outbound call."""

    def set_leg(self, leg_id: str) -> None:
        """Set the leg whose lifetime is the call's from now on."""
