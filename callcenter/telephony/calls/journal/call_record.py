"""Record of a call: turns its events into journal entries (`calls.ports.CallRecordPort`)."""

import itertools
from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID, uuid4

from callcenter.telephony.calls.call_state import CallStage, CallState, CallStateTracker
from callcenter.telephony.calls.journal.events import (
    BecameUrgent,
    CallbackRequested,
    CallClosed,
    ConsultantAssigned,
    Entry,
    EventRecorded,
    LanguageChosen,
    NumberSealed,
    OutboundClosed,
    OutboundLegChanged,
    RecordingStarted,
    RecordingStopped,
    VoicemailDiscarded,
    VoicemailRegistered,
)
from callcenter.telephony.calls.outcomes import CallEvent, Outcome, Urgency


class JournalPort(Protocol):
    """The journal, see `callcenter.telephony.calls.journal.journal.Journal`."""

    def append(self, entry: Entry) -> None:
        """Append an entry; returns at once."""

    async def append_durably(self, entry: Entry) -> None:
        """Append an entry; returns when it is in the database, else raises OperationFailed."""

    def save_call_state(self, leg: str, state: CallState | None) -> None:
        """Save the state of a call, None when it is over; returns at once."""


class CallRecord:
    """Record of one call (`callcenter.telephony.calls.ports.CallRecordPort`)."""

    def __init__(
        self, journal: JournalPort, appeal_id: UUID, leg: str = "", first: int = 1
    ) -> None:
        self.appeal_id = appeal_id
        self.state_tracker = CallStateTracker(
            CallState(str(appeal_id), first), journal.save_call_state, leg
        )
        self._journal = journal
        self._seq = itertools.count(first)
        self._over_since: datetime | None = None
        self._last_at = datetime.min.replace(tzinfo=UTC)

    def _now(self) -> datetime:
        return self._over_since or datetime.now(UTC)

    def set_end_time(self, at: datetime) -> None:
        """Set when the call ended with the switch: no later time is recorded.

        It ended no earlier than its last event, which may be of after the switch's last word.
        """
        self._over_since = max(at, self._last_at)

    def add_event(self, event: CallEvent, **detail: str | bool | float) -> None:
        """Record an event that happens now."""
        self._last_at = self._now()
        self._journal.append(
            EventRecorded(self.appeal_id, next(self._seq), event, self._last_at, detail)
        )
        self.state_tracker.apply_event(event, detail)

    def set_language(self, language: str) -> None:
        self.state_tracker.update(language=language)
        self._journal.append(LanguageChosen(self.appeal_id, language))

    def seal_number(self, sealed: bytes, basis: str, keep_for: timedelta) -> None:
        """Keep the withheld number of the caller, encrypted, for so long from now."""
        until = self._now() + keep_for
        self._journal.append(NumberSealed(self.appeal_id, b64encode(sealed).decode(), basis, until))

    def set_urgencies(self, urgencies: Sequence[Urgency]) -> None:
        self.state_tracker.update(urgencies=tuple(each.value for each in urgencies))
        self._journal.append(BecameUrgent(self.appeal_id, tuple(urgencies)))

    def assign_consultant(self, consultant_id: UUID) -> None:
        self.state_tracker.update(consultant_id=str(consultant_id))
        self._journal.append(ConsultantAssigned(self.appeal_id, consultant_id))

    def recording_started(self, recording_id: UUID, consultant_id: UUID | None, file: str) -> None:
        self.state_tracker.update(recording=str(recording_id), is_proved=False)
        self._journal.append(
            RecordingStarted(self.appeal_id, recording_id, consultant_id, file, self._now())
        )

    def recording_stopped(self, recording_id: UUID) -> None:
        self._journal.append(RecordingStopped(self.appeal_id, recording_id, self._now()))

    async def register_callback(
        self, *, number: str, language: str, arrived: float, urgent: bool
    ) -> None:
        """Register a callback request in the database, else raise OperationFailed."""
        now = self._now()
        await self._journal.append_durably(
            CallbackRequested(self.appeal_id, uuid4(), number, language, urgent, arrived, now)
        )

    async def register_voicemail(
        self, *, recording_id: UUID, language: str, arrived: float, urgent: bool
    ) -> None:
        """Register a voicemail in the database, else raise OperationFailed."""
        now = self._now()
        await self._journal.append_durably(
            VoicemailRegistered(self.appeal_id, recording_id, language, urgent, arrived, now)
        )
        self.state_tracker.update(stage=CallStage.MESSAGE)

    def discard_voicemail(self, recording_id: UUID) -> None:
        self._journal.append(VoicemailDiscarded(self.appeal_id, recording_id, self._now()))

    def close(self, outcome: Outcome, *, hung_up: bool = False) -> None:
        """Close the record with the outcome; it is the last entry. `hung_up`: by the consultant."""
        self.add_event(
            CallEvent.ENDED, outcome=outcome.value, **({"hung_up": "consultant"} if hung_up else {})
        )
        self.state_tracker.clear()
        self._journal.append(CallClosed(self.appeal_id, outcome, self._now()))


class OutboundRecord(CallRecord):
    """Record of an outbound call, on the appeal that it is about."""

    def __init__(
        self, journal: JournalPort, appeal_id: UUID, outgoing_id: UUID, first: int
    ) -> None:
        super().__init__(journal, appeal_id, first=first)
        self.state_tracker.update(outgoing=str(outgoing_id))
        self._outgoing_id = outgoing_id

    def set_leg(self, leg_id: str) -> None:
        """Set the leg whose lifetime is the call's from now on."""
        self.state_tracker.set_leg(leg_id)
        self._journal.append(OutboundLegChanged(self.appeal_id, self._outgoing_id, leg_id))

    def close(self, outcome: Outcome, *, hung_up: bool = False) -> None:
        """Close the record with the outcome; the outcome of the appeal itself stays."""
        self.add_event(CallEvent.ENDED, outcome=outcome.value)
        self.state_tracker.clear()
        self._journal.append(
            OutboundClosed(self.appeal_id, self._outgoing_id, outcome, self._now())
        )
