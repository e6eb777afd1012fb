"""Repairs of the register from CEL, each with an event of the appeal.

An end, a conversation that the journal lacks, a missing appeal and an orphaned file or object can
be repaired from CEL, the disk and the store. All other discrepancies are left to people. A call
has no end when the database went back in time to where it was in progress, as by a restore.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls import outbound_calls
from callcenter.appeals.calls import store as appeals
from callcenter.appeals.rules.number import NumbersExhausted
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.recordings import store as recordings
from callcenter.recordings.sealing import spool
from callcenter.recordings.sealing.sealed_store import read_name
from callcenter.telephony.calls.journal.spool import pending_spools
from callcenter.telephony.calls.outcomes import CallEvent, Outcome, find_lost_outcome
from callcenter.telephony.reconciliation import (
    backfill,
    orphaned_files,
    orphaned_objects,
    store,
)
from callcenter.telephony.reconciliation.cel_archive import lines_of
from callcenter.telephony.reconciliation.cel_calls import CelCall
from callcenter.telephony.reconciliation.fallback_calls import FallbackCall, take
from callcenter.telephony.reconciliation.rules import (
    Discrepancy,
    DiscrepancyKind,
    RegisteredCall,
    is_certain,
)

log = logging.getLogger(__name__)

Calls = Mapping[str, FallbackCall]


async def repair_discrepancies(
    tools: WorkerResources, cel_file: Path, found: Sequence[Discrepancy]
) -> list[Discrepancy]:
    """Repair and return the discrepancies that can be repaired. Repeatable, safe to kill.

    None while a journal waits for the database: what is missing may be there. Raises
    DependencyUnavailable when the database is away, OperationFailed and OSError for unreadable
    files."""
    if await asyncio.to_thread(pending_spools, tools.settings.journals):
        # Its entries would find what is repaired, and be refused, or say it a second time.
        if found:
            log.warning("repair postponed: journals wait for the database")
        return []
    calls = await asyncio.to_thread(_read_missing_calls, cel_file, found)
    repaired = []
    for each in found:
        if each.kind not in _REPAIRS or _may_be_of_others(each):
            continue
        if read_name(each.subject) is not None:
            if await _adopt_object(tools, each.subject):
                repaired.append(each)
            continue
        try:
            async with unit_of_work(tools.engine) as connection:
                # The lock of the backfill: a call is never repaired and backfilled at once.
                if await store.try_lock(connection) and await _REPAIRS[each.kind](
                    connection, tools.settings, calls, each
                ):
                    repaired.append(each)
        except NumbersExhausted as exc:
            log.critical("repair postponed: %s %s: %s", each.kind, each.subject, exc)
        except (IntegrityError, DataError):
            log.exception("repair failed: %s %s", each.kind, each.subject)
    return repaired


def _may_be_of_others(each: Discrepancy) -> bool:
    return each.call is not None and each.row is not None and not is_certain(each.call, each.row)


def _read_missing_calls(cel_file: Path, found: Sequence[Discrepancy]) -> Calls:
    """Ended calls without an appeal, or an end of it, assembled as by the minutely job."""
    kinds = (DiscrepancyKind.CALL_WITHOUT_APPEAL, DiscrepancyKind.CALL_NOT_ENDED)
    over = {
        each.call.call_id: each.call.began_at
        for each in found
        if each.kind in kinds and each.call and each.call.ended_at
    }
    calls: dict[str, FallbackCall] = {}
    if over:
        for line in lines_of(cel_file, over, min(over.values())):
            take(calls, line)
    return calls


async def _backfill_call(
    connection: AsyncConnection, settings: Settings, calls: Calls, each: Discrepancy
) -> bool:
    """Backfill an inbound call, as the minutely job; CEL does not have whom we called."""
    if each.subject not in calls:
        return False
    await backfill.settle(connection, settings.spool, calls[each.subject])
    await store.drop(connection, [each.subject])
    row = await appeals.find_by_call(connection, each.subject)
    if row is None:
        return False
    await _add_repair_event(connection, row.id, 0, each)
    return True


async def _set_end(
    connection: AsyncConnection, _settings: Settings, _calls: Calls, each: Discrepancy
) -> bool:
    """Set the end only: number and deadlines of an appeal follow from its beginning."""
    if each.call is None or each.row is None:
        return False
    row, before, after = each.row, each.row.ended_at, each.call.ended_at
    if before is None or after is None:
        return False
    corrected = (
        await appeals.correct_end(connection, row.appeal_id, before=before, after=after)
        if row.ordinal == 0
        else await outbound_calls.correct_end(
            connection, row.appeal_id, row.ordinal, before=before, after=after
        )
    )
    if not corrected:
        return False
    await _add_repair_event(connection, row.appeal_id, row.ordinal, each)
    return True


async def _end_call(
    connection: AsyncConnection, settings: Settings, calls: Calls, each: Discrepancy
) -> bool:
    """Close a call at its end in CEL, with the outcome that a controller would give it.

    One that the dialplan served is settled as by the minutely job.
    """
    if each.call is None or each.row is None or each.call.ended_at is None:
        return False
    row, ended_at = each.row, each.call.ended_at
    of_caller = calls.get(each.call.call_id)
    if row.ordinal == 0 and of_caller is not None and of_caller.in_fallback:
        return await _backfill_call(connection, settings, calls, each)
    events = await appeals.events(connection, row.appeal_id)
    first = outbound_calls.first_seq(row.ordinal)
    own = range(first, first + outbound_calls.EVENTS_PER_CALL)
    outcome = find_lost_outcome(
        {event.kind for event in events if event.seq in own}, _outcome_by_cel(each.call, of_caller)
    )
    if not await _close(connection, row, outcome, ended_at):
        return False
    detail = {"outcome": outcome.value, "how": "recovered"}
    await appeals.append_event(
        connection,
        appeal_id=row.appeal_id,
        at=ended_at,
        kind=CallEvent.ENDED,
        detail=detail,
        ordinal=row.ordinal,
    )
    await _set_consultant(connection, row, each.call)
    await _add_repair_event(connection, row.appeal_id, row.ordinal, each)
    return True


def _outcome_by_cel(call: CelCall, of_caller: FallbackCall | None) -> Outcome | None:
    """The outcome of an ended call; `of_caller` is the same as a call to 111."""
    if of_caller is not None:
        return of_caller.outcome
    return Outcome.TALKED if call.conversations else None


async def _close(
    connection: AsyncConnection, row: RegisteredCall, outcome: Outcome, ended_at: datetime
) -> bool:
    """Close a call that is open; False when it is not any more."""
    if row.outgoing_id is None:
        return await appeals.close_appeal(
            connection, appeal_id=row.appeal_id, outcome=outcome, ended_at=ended_at
        )
    return await outbound_calls.close(
        connection, row.outgoing_id, outcome=outcome, ended_at=ended_at
    )


async def _set_consultant(connection: AsyncConnection, row: RegisteredCall, call: CelCall) -> None:
    """Set the consultant of the appeal: that of the call's last conversation, if it has one."""
    if not call.conversations:
        return
    extension = call.conversations[-1].consultant
    consultant_id = await backfill.find_consultant(connection, extension)
    if consultant_id is not None:
        await appeals.set_consultant(
            connection, appeal_id=row.appeal_id, consultant_id=consultant_id
        )


async def _close_recording(
    connection: AsyncConnection, _settings: Settings, _calls: Calls, each: Discrepancy
) -> bool:
    """Close a recording at the end of its call: the worker seals it, or finds it sealed."""
    if each.call is None or each.row is None or each.recording is None:
        return False
    if each.call.ended_at is None:
        return False
    found = await recordings.find(connection, each.recording.id)
    if found is None or found.state != "recording":
        return False  # a journal has closed it meanwhile
    reached = each.recording.reaches_to or each.call.ended_at
    ended_at = min(reached, each.call.ended_at)
    await recordings.close(connection, recording_id=each.recording.id, ended_at=ended_at)
    await _add_repair_event(connection, each.row.appeal_id, each.row.ordinal, each)
    return True


async def _end_recording(
    connection: AsyncConnection, _settings: Settings, _calls: Calls, each: Discrepancy
) -> bool:
    if each.call is None or each.row is None or each.recording is None:
        return False
    recorded = each.recording
    ended_at = each.call.ended_at or recorded.began_at + (recorded.length or timedelta())
    if recorded.ended_at is None or not await recordings.correct_end(
        connection, recorded.id, before=recorded.ended_at, after=ended_at
    ):
        return False
    await _add_repair_event(connection, each.row.appeal_id, each.row.ordinal, each)
    return True


async def _add_conversation(
    connection: AsyncConnection, _settings: Settings, _calls: Calls, each: Discrepancy
) -> bool:
    if each.call is None or each.row is None:
        return False
    for span in each.call.conversations:
        await appeals.append_event(
            connection,
            appeal_id=each.row.appeal_id,
            at=span.began_at,
            kind=CallEvent.CONNECTED,
            detail={"consultant": span.consultant, "how": "recovered"},
            ordinal=each.row.ordinal,
        )
    await _set_consultant(connection, each.row, each.call)
    await _add_repair_event(connection, each.row.appeal_id, each.row.ordinal, each)
    return True


async def _bind_file(
    connection: AsyncConnection, settings: Settings, _calls: Calls, each: Discrepancy
) -> bool:
    unknown = await orphaned_files.find(connection, settings.spool, datetime.now(UTC))
    orphan = next((file for file in unknown if file.name == each.subject), None)
    if orphan is None or not await orphaned_files.bind(connection, orphan):
        return False
    call_id, _ = spool.read_name(orphan.name)
    row = await appeals.find_by_call(connection, call_id or "")
    if row is not None:
        await _add_repair_event(connection, row.id, 0, each)
    return True


async def _adopt_object(tools: WorkerResources, name: str) -> bool:
    try:
        await orphaned_objects.adopt(tools, name, orphaned_objects.RECONCILIATION)
    except OperationFailed as exc:
        log.error("orphaned object left: %s: %s", name, exc)
        return False
    return True


async def _add_repair_event(
    connection: AsyncConnection, appeal_id: UUID, ordinal: int, each: Discrepancy
) -> None:
    await appeals.append_event(
        connection,
        appeal_id=appeal_id,
        at=datetime.now(UTC),
        kind=CallEvent.MENDED,
        detail={"difference": each.kind.value, "what": each.why},
        ordinal=ordinal,
    )


_REPAIRS: Mapping[
    DiscrepancyKind, Callable[[AsyncConnection, Settings, Calls, Discrepancy], Awaitable[bool]]
] = {
    DiscrepancyKind.CALL_WITHOUT_APPEAL: _backfill_call,
    DiscrepancyKind.END_DISAGREES: _set_end,
    DiscrepancyKind.CALL_NOT_ENDED: _end_call,
    DiscrepancyKind.RECORDING_NOT_ENDED: _close_recording,
    DiscrepancyKind.RECORDING_TOO_LATE: _end_recording,
    DiscrepancyKind.CONVERSATION_WITHOUT_MOMENT: _add_conversation,
    DiscrepancyKind.FILE_WITHOUT_RECORDING: _bind_file,
}
