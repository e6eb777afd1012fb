"""From a call in the ledger to what its appeal lacks: the appeal itself, moments, recording."""

import logging
from pathlib import Path
from uuid import UUID, uuid5

from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals import store as appeals
from callcenter.appeals.store import AppealRow, EventRow
from callcenter.consultants import store as consultants
from callcenter.errors import WeFailed
from callcenter.ledger import store
from callcenter.ledger.calls import Happened, LedgerCall
from callcenter.line.outcomes import Moment
from callcenter.recordings import store as recordings

log = logging.getLogger(__name__)

#: Moments from the ledger are numbered from here: behind those that a controller wrote, whether
#: these are in the database already or not, and before all that came after the call.
FIRST_SEQ = 8_001

# Ids made of the call's own: whoever settles a call makes the same ones.
_APPEALS = UUID("5f0c7e8e-7a8b-4c60-8a3a-1d2e4f6b8c11")
_RECORDINGS = UUID("a9b3c1d4-52f7-4f8e-9a44-6f0e2d7c8b12")


async def settle(connection: AsyncConnection, spool: Path, call: LedgerCall) -> None:
    """Give a call that is over its appeal, or its appeal what happened in the fallback.

    May be repeated, in whatever transaction: what is there stays as it is. An empty file of a
    recording that never began is removed from the spool.
    """
    row = await _appeal_of(connection, call)
    is_ours = row.id == uuid5(_APPEALS, call.call_id)
    events = await appeals.events(connection, row.id)
    is_settled = any(FIRST_SEQ <= event.seq < appeals.AFTERWARDS for event in events)
    if is_settled or not (is_ours or call.in_fallback):
        return
    moments = list(call.moments if is_ours else call.since_fallback)
    if any(event.kind == Moment.FALLBACK for event in events):  # its controller gave it away
        moments = [each for each in moments if each.moment is not Moment.FALLBACK]
    consultant_id = await _consultant(connection, moments)
    moments += await _recording(connection, spool, row.id, consultant_id, call)
    moments.sort(key=lambda each: each.at)
    await _close_left_open(connection, row.id, call)
    ended_at = call.ended_at or call.last_at
    outcome = row.outcome or call.outcome.value
    moments.append(Happened(Moment.ENDED, ended_at, {"outcome": outcome, "how": "recovered"}))
    await appeals.add_events(
        connection,
        [
            EventRow(row.id, seq, each.at, each.moment, dict(each.detail))
            for seq, each in enumerate(moments, FIRST_SEQ)
        ],
    )
    if consultant_id is not None:
        await appeals.set_consultant(connection, appeal_id=row.id, consultant_id=consultant_id)
    await appeals.close_appeal(connection, appeal_id=row.id, outcome=outcome, ended_at=ended_at)
    await store.extend(connection, row.id, ended_at)
    log.info("call %s accounted for from the ledger: %s", call.call_id, outcome)


async def _appeal_of(connection: AsyncConnection, call: LedgerCall) -> AppealRow:
    """The appeal of this call, which is opened if nobody has."""
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
        raise WeFailed(f"the appeal of call {call.call_id} was opened and is not there")
    return row


async def _consultant(connection: AsyncConnection, moments: list[Happened]) -> UUID | None:
    """Who talked last."""
    talked = [each.detail["consultant"] for each in moments if each.moment is Moment.CONNECTED]
    if not talked:
        return None
    everyone = await consultants.everyone(connection)
    return next((each.id for each in everyone if each.extension == talked[-1]), None)


async def _close_left_open(connection: AsyncConnection, appeal_id: UUID, call: LedgerCall) -> None:
    """What a controller recorded before it died was stopped when the dialplan took the call."""
    stopped_at = call.since_fallback[0].at if call.in_fallback else call.ended_at or call.last_at
    for recording in await recordings.of_appeal(connection, appeal_id):
        if recording.state == "recording":
            await recordings.close(connection, recording_id=recording.id, ended_at=stopped_at)


async def _recording(
    connection: AsyncConnection,
    spool: Path,
    appeal_id: UUID,
    consultant_id: UUID | None,
    call: LedgerCall,
) -> list[Happened]:
    """Have the fallback's recording kept; its moments. None is made of a file without a sound.

    A file that a conversation should have left and did not is registered all the same: keeping it
    fails, and says so. Asterisk closes a file when its channel ends; the grace period is longer.
    """
    name = f"fallback-{call.call_id}.raw"
    began_at, ended_at = call.received_at, call.ended_at or call.last_at
    if call.talk is not None:
        began_at, ended_at = call.talk.began_at, call.talk.ended_at or ended_at
    size = _size(spool / name)
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
    await recordings.close(connection, recording_id=recording_id, ended_at=ended_at)
    detail: dict[str, str | bool] = {"recording": str(recording_id)}
    if not size:
        return [Happened(Moment.RECORDING_FAILED, began_at, detail | {"why": "nothing_recorded"})]
    return [
        Happened(Moment.RECORDING_STARTED, began_at, detail),
        Happened(Moment.RECORDING_STOPPED, ended_at, detail),
    ]


def _size(file: Path) -> int:
    """In bytes; 0 when there is none."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
