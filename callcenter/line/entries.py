"""What may be put down of a call: each entry says what became true, and when (UTC)."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from callcenter.appeals.callers import Caller
from callcenter.line.outcomes import Moment, Outcome, Urgency


@dataclass(frozen=True, slots=True)
class Opened:
    """A call came in (R25)."""

    appeal_id: UUID
    call_id: str
    caller: Caller
    at: datetime


@dataclass(frozen=True, slots=True)
class Happened:
    """A moment of a call; `seq` counts the moments of that call."""

    appeal_id: UUID
    seq: int
    moment: Moment
    at: datetime
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LanguageSettled:
    appeal_id: UUID
    language: str


@dataclass(frozen=True, slots=True)
class BecameUrgent:
    """All that was told so far of why a call is urgent."""

    appeal_id: UUID
    urgencies: tuple[Urgency, ...]


@dataclass(frozen=True, slots=True)
class ConsultantSettled:
    appeal_id: UUID
    consultant_id: UUID


@dataclass(frozen=True, slots=True)
class RecordingBegan:
    appeal_id: UUID
    recording_id: UUID
    consultant_id: UUID | None
    file: str
    at: datetime


@dataclass(frozen=True, slots=True)
class RecordingEnded:
    appeal_id: UUID
    recording_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True)
class CallbackPromised:
    """A number is to be called back; `arrived`, in epoch seconds, is the place that it keeps."""

    appeal_id: UUID
    promise_id: UUID
    number: str
    language: str
    urgent: bool
    arrived: float
    at: datetime


@dataclass(frozen=True, slots=True)
class MessagePromised:
    """A consultant is to hear this recording; `arrived` (epoch seconds) is when the caller did."""

    appeal_id: UUID
    recording_id: UUID
    language: str
    urgent: bool
    arrived: float
    at: datetime


@dataclass(frozen=True, slots=True)
class MessageEmpty:
    """Nothing was said in it: nobody has to hear this recording."""

    appeal_id: UUID
    recording_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True)
class PromiseEnded:
    """A promise is open no more; `state` is one of promises.states."""

    appeal_id: UUID
    promise_id: UUID
    state: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Closed:
    """A call ended with its one outcome."""

    appeal_id: UUID
    outcome: Outcome
    at: datetime


@dataclass(frozen=True, slots=True)
class OutgoingBegan:
    """A call of ours began while the database was away: about an appeal of its own."""

    appeal_id: UUID
    outgoing_id: UUID
    call_id: str
    number: str
    consultant_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True)
class OutgoingCarried:
    """Another leg lives as long as an outgoing call from now on."""

    appeal_id: UUID
    outgoing_id: UUID
    call_id: str


@dataclass(frozen=True, slots=True)
class OutgoingClosed:
    """A call of ours ended with its one outcome."""

    appeal_id: UUID
    outgoing_id: UUID
    outcome: Outcome
    at: datetime


Entry = (
    Opened
    | Happened
    | LanguageSettled
    | BecameUrgent
    | ConsultantSettled
    | RecordingBegan
    | RecordingEnded
    | CallbackPromised
    | MessagePromised
    | MessageEmpty
    | PromiseEnded
    | Closed
    | OutgoingBegan
    | OutgoingCarried
    | OutgoingClosed
)
