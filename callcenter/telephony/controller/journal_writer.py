"""Write journal entries to the tables: a transaction per batch, a statement per kind."""

import asyncio
from base64 import b64decode
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

import psycopg
from sqlalchemy.exc import DataError, IntegrityError, ProgrammingError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.calls import outbound_calls
from callcenter.appeals.calls import store as appeals
from callcenter.appeals.calls.outbound_calls import OutboundCallRow
from callcenter.appeals.calls.store import AppealClosed, AppealUpdate, EventRow, NewAppeal
from callcenter.appeals.rules.number import NumbersExhausted
from callcenter.platform.core.errors import InvalidRequest, OperationFailed
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import Transaction
from callcenter.platform.storage.pinned_connection import PinnedConnection
from callcenter.recordings import store as recordings
from callcenter.recordings.store import EndedRecording, NewRecording
from callcenter.telephony.callbacks import store as callbacks
from callcenter.telephony.callbacks.rules import CallbackState
from callcenter.telephony.callers.sealed_numbers import store as sealed_numbers
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
from callcenter.telephony.calls.journal.journal import EntryRefused, Journal
from callcenter.telephony.calls.journal.replay import OrphanedJournalReplayer
from callcenter.telephony.calls.journal.spool import JournalSpool
from callcenter.telephony.calls.outcomes import CallEvent
from callcenter.telephony.controller.lost_call_recovery import request_check
from callcenter.telephony.outbound import authorization

#: Errors of psycopg's and of SQLAlchemy's that come again however often the same is written.
AT_FAULT = (
    *(psycopg.IntegrityError, psycopg.DataError, psycopg.ProgrammingError),
    *(IntegrityError, DataError, ProgrammingError),
)
#: Some of them come only until somebody has migrated the database, or restored it.
PASSING = (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege)
Kind = TypeVar("Kind")


class JournalWriter:
    """Writes one journal to the database."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._database = PinnedConnection(engine)

    async def write(self, entries: Sequence[Entry]) -> None:
        """Write a batch in one transaction; may be repeated.

        Raises EntryRefused when the entries are at fault, another OperationFailed when it is not.
        """
        try:
            async with self._database.transaction() as transaction:
                await write_entries(transaction, entries)
        except AT_FAULT as exc:
            if isinstance(getattr(exc, "orig", None) or exc, PASSING):
                raise OperationFailed(f"the database is not ready: {_name(exc)}") from exc
            raise EntryRefused(f"the database refuses: {_name(exc)}") from exc
        except (InvalidRequest, NumbersExhausted) as exc:  # our own rules do
            raise EntryRefused(str(exc)) from exc
        except (psycopg.Error, SQLAlchemyError, OSError) as exc:
            raise OperationFailed(f"the database failed: {_name(exc)}") from exc

    async def close(self) -> None:
        await self._database.close()


async def replay_orphaned_journals(settings: Settings, engine: AsyncEngine) -> None:
    """Write to the database what dead controllers left on disk, until cancelled.

    Living controllers do so too: this is for when none comes back.
    """
    writer = JournalWriter(engine)
    spool = JournalSpool(settings.journals, "worker", settings.journal_limit)
    try:
        async with asyncio.TaskGroup() as tasks:
            journal = Journal(
                writer.write, spool, on_drained=lambda: tasks.create_task(request_check(engine))
            )
            tasks.create_task(journal.run())
            tasks.create_task(OrphanedJournalReplayer(journal, settings.journals).run())
    finally:
        await writer.close()


def _name(exc: Exception) -> str:
    """The class of the driver's error: messages may hold callers' numbers."""
    return type(getattr(exc, "orig", None) or exc).__name__


async def write_entries(transaction: Transaction, entries: Sequence[Entry]) -> None:
    """Write kind by kind, what others refer to first: an appeal, then its events."""

    def all_of(kind: type[Kind]) -> list[Kind]:
        return [entry for entry in entries if isinstance(entry, kind)]

    openings = [
        NewAppeal(e.appeal_id, e.call_id, "call", e.caller.kind, e.caller.number, e.at)
        for e in all_of(CallOpened)
    ]
    beginnings = [
        NewRecording(e.recording_id, e.appeal_id, e.consultant_id, e.file, e.at)
        for e in all_of(RecordingStarted)
    ]
    moments = [
        EventRow(e.appeal_id, e.seq, e.at, e.moment, e.detail) for e in all_of(EventRecorded)
    ]
    closings = [AppealClosed(e.appeal_id, e.outcome, e.at) for e in all_of(CallClosed)]
    ended = {e.recording_id: EndedRecording(e.recording_id, e.at) for e in all_of(RecordingStopped)}
    ended |= {each.id: each for each in map(_empty_recording, moments) if each is not None}
    await appeals.open_appeals(transaction, openings)
    for started in all_of(OutboundStarted):
        await _write_beginning(transaction.connection, started)
    await appeals.change_appeals(transaction, [*filter(None, map(_change, entries))])
    await recordings.begin_all(transaction, beginnings)
    await recordings.close_all(transaction, list(ended.values()))
    await appeals.put_events(transaction, moments)
    await _write_one_by_one(transaction.connection, entries)
    await callbacks.serve_all(transaction, _connected_at(moments))
    await appeals.close_appeals(transaction, closings)


def _empty_recording(event: EventRow) -> EndedRecording | None:
    if event.kind != CallEvent.RECORDING_EMPTY:
        return None
    return EndedRecording(UUID(event.detail["recording"]), event.at, is_empty=True)


async def _write_beginning(connection: AsyncConnection, begun: OutboundStarted) -> None:
    call = OutboundCallRow(
        id=begun.outgoing_id,
        appeal_id=begun.appeal_id,
        ordinal=1,
        number=begun.number,
        consultant_id=begun.consultant_id,
        call_id=begun.call_id,
        began_at=begun.at,
        ended_at=None,
        outcome=None,
    )
    await authorization.write(connection, call, begun.consultant_id)


async def _write_one_by_one(connection: AsyncConnection, entries: Sequence[Entry]) -> None:
    """Write sealed numbers, callbacks, voicemails and outbound calls: rare, one by one."""
    for entry in entries:
        match entry:
            case NumberSealed():
                await sealed_numbers.add(
                    connection,
                    appeal_id=entry.appeal_id,
                    sealed=b64decode(entry.sealed),
                    basis=entry.basis,
                    until=entry.until,
                )
            case CallbackRequested():
                request = callbacks.CallbackRequest(
                    promise_id=entry.promise_id,
                    appeal_id=entry.appeal_id,
                    number=entry.number,
                    language=entry.language,
                    urgent=entry.urgent,
                    arrived_at=datetime.fromtimestamp(entry.arrived, UTC),
                    promised_at=entry.at,
                )
                await callbacks.promise_callback(connection, request)
            case VoicemailRegistered():
                await callbacks.promise_message(
                    connection,
                    recording_id=entry.recording_id,
                    appeal_id=entry.appeal_id,
                    language=entry.language,
                    urgent=entry.urgent,
                    arrived_at=datetime.fromtimestamp(entry.arrived, UTC),
                    promised_at=entry.at,
                )
            case VoicemailDiscarded():
                await callbacks.end(connection, entry.recording_id, CallbackState.EMPTY, entry.at)
            case CallbackClosed():
                await callbacks.end_by_attempt(
                    connection, entry.promise_id, CallbackState(entry.state), entry.at
                )
            case OutboundLegChanged():
                await outbound_calls.set_leg(connection, entry.outgoing_id, entry.call_id)
            case OutboundClosed():
                await outbound_calls.close(
                    connection, entry.outgoing_id, outcome=entry.outcome, ended_at=entry.at
                )


def _connected_at(moments: Sequence[EventRow]) -> dict[UUID, datetime]:
    """Find when callers and consultants first heard each other, by the appeal.

    As soon as the two hear each other, and not when the call is over: the consultant, free again,
    would at once call back the one with whom they have just talked.
    """
    return {
        moment.appeal_id: moment.at
        for moment in moments
        if moment.kind == CallEvent.CONNECTED and moment.seq < outbound_calls.first_seq(1)
    }


def _change(entry: Entry) -> AppealUpdate | None:
    match entry:
        case LanguageChosen():
            return AppealUpdate(entry.appeal_id, language=entry.language)
        case BecameUrgent():
            return AppealUpdate(entry.appeal_id, urgent=entry.urgencies)
        case ConsultantAssigned():
            return AppealUpdate(entry.appeal_id, consultant_id=entry.consultant_id)
        case _:
            return None
