"""Entries of the journal: at least one of every class, with every field filled differently."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from callcenter.platform.core.caller_id import parse_caller_id
from callcenter.telephony.calls.journal.events import (
    BecameUrgent,
    CallbackClosed,
    CallbackRequested,
    CallClosed,
    CallOpened,
    ConsultantAssigned,
    Entry,
    EventRecorded,
    LanguageChosen,
    NumberSealed,
    OutboundClosed,
    OutboundLegChanged,
    OutboundStarted,
    RecordingStarted,
    RecordingStopped,
    VoicemailDiscarded,
    VoicemailRegistered,
)
from callcenter.telephony.calls.outcomes import CallEvent, Outcome, Urgency

AT = datetime(2026, 11, 27, 8, 0, 0, 123456, tzinfo=UTC)
APPEAL, OTHER_APPEAL = UUID(int=1), UUID(int=2)
CONSULTANT, RECORDING, PROMISE, OUTGOING = (UUID(int=each) for each in (3, 4, 5, 6))


def later(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


#: Not known to the version that wrote the spool.
NEWER_EVENTS = {CallEvent.ALERTED, CallEvent.RECORDING_EMPTY, CallEvent.REFUSED}

ENTRIES: tuple[Entry, ...] = (
    CallOpened(APPEAL, "1764230400.1", parse_caller_id("+77010000001"), AT),
    CallOpened(OTHER_APPEAL, "1764230400.2", parse_caller_id(None), later(0.5)),
    CallOpened(UUID(int=7), "1764230400.3", parse_caller_id("anonymous"), later(0.6)),
    CallOpened(UUID(int=8), "1764230400.4", parse_caller_id("201"), later(0.7)),
    EventRecorded(APPEAL, 1, CallEvent.RECEIVED, AT),
    EventRecorded(APPEAL, 502, CallEvent.CHOICE, later(1), {"choice": "consultant", "whole": True}),
    EventRecorded(
        APPEAL, 503, CallEvent.SURVEYED, later(2), {"mark": 4, "why": "Рахмет", "n": 4.5}
    ),
    *(
        EventRecorded(OTHER_APPEAL, seq, moment, later(seq))
        for seq, moment in enumerate(sorted(set(CallEvent) - NEWER_EVENTS), 1)
    ),
    LanguageChosen(APPEAL, "kk"),
    BecameUrgent(APPEAL, ()),
    BecameUrgent(APPEAL, (Urgency.SILENT, Urgency.DANGER)),
    ConsultantAssigned(APPEAL, CONSULTANT),
    RecordingStarted(APPEAL, RECORDING, None, "a call-1.raw", later(3)),
    RecordingStarted(APPEAL, RECORDING, CONSULTANT, "a call-2.raw", later(4)),
    RecordingStopped(APPEAL, RECORDING, later(5)),
    CallbackRequested(APPEAL, PROMISE, "+77010000002", "ru", True, 1764230400.25, later(6)),
    VoicemailRegistered(APPEAL, RECORDING, "kk", False, 1764230400.5, later(7)),
    VoicemailDiscarded(APPEAL, RECORDING, later(8)),
    CallbackClosed(APPEAL, PROMISE, "kept", later(9)),
    *(CallClosed(APPEAL, outcome, later(10)) for outcome in sorted(Outcome)),
    OutboundStarted(APPEAL, OUTGOING, "called-leg", "102", CONSULTANT, later(11)),
    OutboundLegChanged(APPEAL, OUTGOING, "another-leg"),
    OutboundClosed(APPEAL, OUTGOING, Outcome.NOT_REACHED, later(12)),
    # Not known to the version that wrote the other lines.
    NumberSealed(OTHER_APPEAL, "YWdlLWVuY3J5cHRpb24=", "Law 000-V, article 1", later(13)),
)
