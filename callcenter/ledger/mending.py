"""Putting the register right by what the switch says, each time marked on the appeal.

An end, a conversation that the journal lacks, an appeal that nobody opened, a file that nobody
knows: these the switch's ledger and the disk can tell. All else is left as it is, for people.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals import store as appeals
from callcenter.ledger import orphans, settling, store
from callcenter.ledger.calls import LedgerCall, take
from callcenter.ledger.differences import Difference, Kind
from callcenter.ledger.whole import lines_of
from callcenter.line.outcomes import Moment
from callcenter.recordings import spool
from callcenter.settings import Settings
from callcenter.storage.engine import unit_of_work
from callcenter.storage.jobs import Tools

log = logging.getLogger(__name__)

_END_OF_APPEAL = text(
    "UPDATE appeal SET ended_at = :ended_at WHERE id = :id AND ended_at = :was RETURNING id"
)
_END_OF_OUTGOING = text(
    """
    UPDATE outgoing_call SET ended_at = :ended_at
    WHERE appeal_id = :id AND ordinal = :ordinal AND ended_at = :was RETURNING id
    """
)
# One that began with a call of ours ended with it.
_END_OF_ITS_APPEAL = text(
    """
    UPDATE appeal SET ended_at = :ended_at
    WHERE id = :id AND channel = 'outgoing' AND ended_at = :was
    """
)


_END_OF_RECORDING = text(
    "UPDATE recording SET ended_at = :ended_at WHERE id = :id AND ended_at = :was RETURNING id"
)

Calls = Mapping[str, LedgerCall]


async def mend(tools: Tools, ledger: Path, found: Sequence[Difference]) -> list[Difference]:
    """Mend what can be mended, and return that. May be repeated, and be killed anywhere.

    Raises NotReady when the database is away, WeFailed and OSError for unreadable files.
    """
    calls = await asyncio.to_thread(_missing, ledger, found)
    mended = []
    for each in found:
        if each.kind not in _MENDS:
            continue
        try:
            async with unit_of_work(tools.engine) as connection:
                # As those who account for calls: nobody does both at once with one call.
                if await store.my_turn(connection) and await _MENDS[each.kind](
                    connection, tools.settings, calls, each
                ):
                    mended.append(each)
        except (IntegrityError, DataError):
            log.exception("%s %s cannot be mended", each.kind, each.subject)
    return mended


def _missing(ledger: Path, found: Sequence[Difference]) -> Calls:
    """Calls without an appeal that are over, as the ledger's calls are read every minute."""
    over = {
        each.call.call_id: each.call.began_at
        for each in found
        if each.kind is Kind.CALL_WITHOUT_APPEAL and each.call and each.call.ended_at
    }
    calls: dict[str, LedgerCall] = {}
    if over:
        for line in lines_of(ledger, over, min(over.values())):
            take(calls, line)
    return calls


async def _open_appeal(
    connection: AsyncConnection, settings: Settings, calls: Calls, each: Difference
) -> bool:
    """Of a call that came in; the ledger does not know whom we called."""
    if each.subject not in calls:
        return False
    await settling.settle(connection, settings.spool, calls[each.subject])
    await store.drop(connection, [each.subject])
    row = await appeals.of_call(connection, each.subject)
    if row is None:
        return False
    await _mark(connection, row.id, 0, each)
    return True


async def _set_end(
    connection: AsyncConnection, _settings: Settings, _calls: Calls, each: Difference
) -> bool:
    """The end only: the number of an appeal and its deadlines follow from its beginning."""
    if each.call is None or each.row is None:
        return False
    row = each.row
    values = {"id": row.appeal_id, "ended_at": each.call.ended_at, "was": row.ended_at}
    if row.ordinal == 0:
        changed = await connection.execute(_END_OF_APPEAL, values)
    else:
        changed = await connection.execute(_END_OF_OUTGOING, values | {"ordinal": row.ordinal})
        await connection.execute(_END_OF_ITS_APPEAL, values)
    if changed.first() is None:
        return False
    await _mark(connection, row.appeal_id, row.ordinal, each)
    return True


async def _end_recording(
    connection: AsyncConnection, _settings: Settings, _calls: Calls, each: Difference
) -> bool:
    if each.call is None or each.row is None or each.recording is None:
        return False
    recorded = each.recording
    ended_at = each.call.ended_at or recorded.began_at + (recorded.length or timedelta())
    values = {"id": recorded.id, "was": recorded.ended_at, "ended_at": ended_at}
    changed = await connection.execute(_END_OF_RECORDING, values)
    if changed.first() is None:
        return False
    await _mark(connection, each.row.appeal_id, each.row.ordinal, each)
    return True


async def _note_conversation(
    connection: AsyncConnection, _settings: Settings, _calls: Calls, each: Difference
) -> bool:
    if each.call is None or each.row is None:
        return False
    for span in each.call.conversations:
        await appeals.append_event(
            connection,
            appeal_id=each.row.appeal_id,
            at=span.began_at,
            kind=Moment.CONNECTED,
            detail={"consultant": span.consultant, "how": "recovered"},
            ordinal=each.row.ordinal,
        )
    await _mark(connection, each.row.appeal_id, each.row.ordinal, each)
    return True


async def _give_file(
    connection: AsyncConnection, settings: Settings, _calls: Calls, each: Difference
) -> bool:
    unknown = await orphans.find(connection, settings.spool, datetime.now(UTC))
    orphan = next((file for file in unknown if file.name == each.subject), None)
    if orphan is None or not await orphans.bind(connection, orphan):
        return False
    call_id, _ = spool.read_name(orphan.name)
    row = await appeals.of_call(connection, call_id or "")
    if row is not None:
        await _mark(connection, row.id, 0, each)
    return True


async def _mark(
    connection: AsyncConnection, appeal_id: UUID, ordinal: int, each: Difference
) -> None:
    await appeals.append_event(
        connection,
        appeal_id=appeal_id,
        at=datetime.now(UTC),
        kind=Moment.MENDED,
        detail={"difference": each.kind.value, "what": each.why},
        ordinal=ordinal,
    )


_MENDS: Mapping[Kind, Callable[[AsyncConnection, Settings, Calls, Difference], Awaitable[bool]]] = {
    Kind.CALL_WITHOUT_APPEAL: _open_appeal,
    Kind.END_DISAGREES: _set_end,
    Kind.RECORDING_TOO_LATE: _end_recording,
    Kind.CONVERSATION_WITHOUT_MOMENT: _note_conversation,
    Kind.FILE_WITHOUT_RECORDING: _give_file,
}
