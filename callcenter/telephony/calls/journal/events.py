"""Journal events of calls: each says what became true, and when (UTC).

Tags (see `codec`) and field names are stored and never change.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from callcenter.platform.core.caller_id import CallerId
from callcenter.telephony.calls.outcomes import CallEvent, Outcome, Urgency


@dataclass(frozen=True, slots=True)
class CallOpened:
    """A call came in (R25)."""

    appeal_id: UUID
    call_id: str
    caller: CallerId
    at: datetime


@dataclass(frozen=True, slots=True)
class NumberSealed:
    """The withheld number of a call was sealed (base64 of age), by a legal basis, until then."""

    appeal_id: UUID
    sealed: str
    basis: str
    until: datetime


@dataclass(frozen=True, slots=True)
class EventRecorded:
    """An event of a call happened; `seq` counts the events of that call."""

    appeal_id: UUID
    seq: int
    moment: CallEvent
    at: datetime
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LanguageChosen:
    appeal_id: UUID
    language: str


@dataclass(frozen=True, slots=True)
class BecameUrgent:
    """All urgencies of a call so far."""

    appeal_id: UUID
    urgencies: tuple[Urgency, ...]


@dataclass(frozen=True, slots=True)
class ConsultantAssigned:
    appeal_id: UUID
    consultant_id: UUID


@dataclass(frozen=True, slots=True)
class RecordingStarted:
    appeal_id: UUID
    recording_id: UUID
    consultant_id: UUID | None
    file: str
    at: datetime


@dataclass(frozen=True, slots=True)
class RecordingStopped:
    appeal_id: UUID
    recording_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True)
class CallbackRequested:
    """A callback was requested; `arrived`, in epoch seconds, is its place in the queue."""

    appeal_id: UUID
    promise_id: UUID
    number: str
    language: str
    urgent: bool
    arrived: float
    at: datetime


@dataclass(frozen=True, slots=True)
class VoicemailRegistered:
    """A recording is to be delivered as voicemail; `arrived` is in epoch seconds."""

    appeal_id: UUID
    recording_id: UUID
    language: str
    urgent: bool
    arrived: float
    at: datetime


@dataclass(frozen=True, slots=True)
class VoicemailDiscarded:
    """A voicemail has no speech: it is not delivered."""

    appeal_id: UUID
    recording_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True)
class CallbackClosed:
    """A callback request was closed; `state` is a value of `callbacks.rules.CallbackState`."""

    appeal_id: UUID
    promise_id: UUID
    state: str
    at: datetime


@dataclass(frozen=True, slots=True)
class CallClosed:
    """A call ended with its one outcome."""

    appeal_id: UUID
    outcome: Outcome
    at: datetime


@dataclass(frozen=True, slots=True)
class OutboundStarted:
    """An outbound call started while the database was down, about an appeal or one of its own."""

    appeal_id: UUID
    outgoing_id: UUID
    call_id: str
    number: str
    consultant_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True)
class OutboundLegChanged:
    """The leg whose lifetime is an outbound call's changed."""

    appeal_id: UUID
    outgoing_id: UUID
    call_id: str


@dataclass(frozen=True, slots=True)
class OutboundClosed:
    """An outbound call ended with its one outcome."""

    appeal_id: UUID
    outgoing_id: UUID
    outcome: Outcome
    at: datetime


Entry = (
    CallOpened
    | NumberSealed
    | EventRecorded
    | LanguageChosen
    | BecameUrgent
    | ConsultantAssigned
    | RecordingStarted
    | RecordingStopped
    | CallbackRequested
    | VoicemailRegistered
    | VoicemailDiscarded
    | CallbackClosed
    | CallClosed
    | OutboundStarted
    | OutboundLegChanged
    | OutboundClosed
)
