"""Backfill of an appeal from a call in CEL: the appeal itself, events, recording."""

import logging
from pathlib import Path
from uuid import UUID, uuid5

from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls import store as appeals
from callcenter.appeals.calls.store import AppealRow, EventRow
from callcenter.consultants import store as consultants
from callcenter.platform.core.errors import OperationFailed
from callcenter.recordings import store as recordings
from callcenter.recordings.sealing.audio import raw_length
from callcenter.recordings.sealing.spool import is_untouched
from callcenter.telephony.calls.outcomes import CallEvent
from callcenter.telephony.reconciliation.fallback_calls import FallbackCall, FallbackEvent

log = logging.getLogger(__name__)

#: Events from CEL are numbered from here: behind those that a controller wrote, whether
#: these are in the database already or not, and before all that came after the call.
FIRST_SEQ = 8_001

# Ids derived from the call's own: every backfill of a call makes the same ones.
_APPEALS = UUID("5f0c7e8e-7a8b-4c60-8a3a-1d2e4f6b8c11")
_RECORDINGS = UUID("a9b3c1d4-52f7-4f8e-9a44-6f0e2d7c8b12")


async def settle(connection: AsyncConnection, spool: Path, call: FallbackCall) -> None:
    """Save the appeal of an ended call, or the fallback's events of its appeal.

    Repeatable, in any transaction: existing data stays as it is. An empty file of a
    recording that never began is removed from the spool.
    """
    row = await appeal_of(connection, call)
    is_ours = row.id == uuid5(_APPEALS, call.call_id)
    events = await appeals.events(connection, row.id)
    is_settled = any(FIRST_SEQ <= event.seq < appeals.FIRST_LATER_SEQ for event in events)
    if is_settled or not (is_ours or call.in_fallback):
        return
    moments = list(call.moments if is_ours else call.since_fallback)
    if any(event.kind == CallEvent.FALLBACK for event in events):  # its controller gave it away
        moments = [each for each in moments if each.moment is not CallEvent.FALLBACK]
    talked = [each.detail["consultant"] for each in moments if each.moment is CallEvent.CONNECTED]
    consultant_id = await find_consultant(connection, str(talked[-1])) if talked else None
    moments += await settle_recording(connection, spool, row.id, consultant_id, call)
    moments.sort(key=lambda each: each.at)
    await _close_open_recordings(connection, row.id, call)
    ended_at = call.ended_at or max(call.last_at, moments[-1].at)
    outcome = row.outcome or call.outcome.value
    moments.append(
        FallbackEvent(CallEvent.ENDED, ended_at, {"outcome": outcome, "how": "recovered"})
    )
    await appeals.add_events(
        connection,
        [
            EventRow(row.id, seq, each.at, each.moment, dict(each.detail))
            for seq, each in enumerate(moments, FIRST_SEQ)
        ],
    )
    if consultant_id is not None:
        await appeals.set_consultant(connection, appeal_id=row.id, consultant_id=consultant_id)
    if call.urgencies:
        await appeals.add_urgencies(connection, appeal_id=row.id, urgent=call.urgencies)
    await appeals.close_appeal(connection, appeal_id=row.id, outcome=outcome, ended_at=ended_at)
    await appeals.extend_end(connection, row.id, ended_at)
    log.info("call backfilled from CEL: %s, outcome %s", call.call_id, outcome)


async def appeal_of(connection: AsyncConnection, call: FallbackCall) -> AppealRow:
    """The appeal of this call, opened if there is none."""
    number = await appeals.open_appeal(
        connection,
        appeal_id=uuid5(_APPEALS, call.call_id),
        call_id=call.call_id,
        channel="call",
        caller_kind=call.caller.kind,
        caller_number=call.caller.number,
        received_at=call.received_at,
    )
    row = await appeals.find(connection, number)
    if row is None:
        raise OperationFailed(f"the appeal of call {call.call_id} was opened and is not there")
    return row


async def find_consultant(connection: AsyncConnection, extension: str) -> UUID | None:
    """The consultant with this extension, None when there is none any more."""
    everyone = await consultants.everyone(connection)
    return next((each.id for each in everyone if each.extension == extension), None)


async def _close_open_recordings(
    connection: AsyncConnection, appeal_id: UUID, call: FallbackCall
) -> None:
    """Close recordings of a dead controller at the time the dialplan took the call."""
    stopped_at = call.since_fallback[0].at if call.in_fallback else call.ended_at or call.last_at
    for recording in await recordings.of_appeal(connection, appeal_id):
        if recording.state == "recording":
            await recordings.close(connection, recording_id=recording.id, ended_at=stopped_at)


async def settle_recording(
    connection: AsyncConnection,
    spool: Path,
    appeal_id: UUID,
    consultant_id: UUID | None,
    call: FallbackCall,
) -> list[FallbackEvent]:
    """Register the recording of the fallback's conversation, if any; returns its events.

    The file of a conversation is registered even if it is missing: sealing it then fails with an
    alert. If neither side sent a packet the recording is empty, and nobody has to act. Asterisk
    closes a file when its channel ends; the grace period is longer. When Asterisk crashed, CEL has
    no end: the recording ends where its file does.
    """
    name = f"fallback-{call.call_id}.raw"
    size = _size(spool / name)
    began_at, ended_at = call.received_at, call.ended_at
    if call.talk is not None:
        began_at, ended_at = call.talk.began_at, call.talk.ended_at or ended_at
    ended_at = ended_at or max(call.last_at, began_at + raw_length(size))
    if not size and call.talk is None:
        (spool / name).unlink(missing_ok=True)
        return []
    recording_id = uuid5(_RECORDINGS, call.call_id)
    await recordings.begin(
        connection,
        recording_id=recording_id,
        appeal_id=appeal_id,
        consultant_id=consultant_id,
        spool_name=name,
        started_at=began_at,
    )
    is_empty = _has_proof_of_silence(spool / name, call)
    await recordings.close(
        connection, recording_id=recording_id, ended_at=ended_at, is_empty=is_empty
    )
    detail: dict[str, str | bool] = {"recording": str(recording_id)}
    if not size and not is_empty:
        return [
            FallbackEvent(
                CallEvent.RECORDING_FAILED, began_at, detail | {"why": "nothing_recorded"}
            )
        ]
    events = [
        FallbackEvent(CallEvent.RECORDING_STARTED, began_at, detail),
        FallbackEvent(CallEvent.RECORDING_STOPPED, ended_at, detail),
    ]
    if is_empty:
        events.append(FallbackEvent(CallEvent.RECORDING_EMPTY, ended_at, detail))
    return events


def _has_proof_of_silence(file: Path, call: FallbackCall) -> bool:
    """Whether the fallback's file proves that neither side sent a packet.

    MixMonitor writes what it gets, a second later at most. Asterisk that died, so that CEL has no
    end, took that second with it.
    """
    connected = [each.at for each in call.since_fallback if each.moment is CallEvent.CONNECTED]
    if not connected or call.ended_at is None:
        return False
    try:
        return is_untouched(file, min(connected))
    except OSError:
        return False


def _size(file: Path) -> int:
    """Size in bytes; 0 when there is no file."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
