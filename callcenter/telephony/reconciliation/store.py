"""Store of reconciliation: the position in CEL, calls not accounted for, refused calls."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import Text, any_, bindparam, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls.tables import appeal
from callcenter.platform.core.caller_id import CallerId
from callcenter.telephony.reconciliation.cel_tail import START, FilePosition
from callcenter.telephony.reconciliation.fallback_calls import FallbackCall
from callcenter.telephony.reconciliation.rules import REFUSED_PREFIX
from callcenter.telephony.reconciliation.tables import ledger_call, ledger_position, refused_call

# Any number will do, as long as it stays the same for ever and is no other's (migrations/env.py).
_ONE_AT_A_TIME = 111_000_002
_TURN = text("SELECT pg_try_advisory_xact_lock(:number)")

# Each statement has one parameter, whatever the number of calls: it is built and planned once.
_ids = any_(bindparam("ids", type_=ARRAY(Text)))
_CALLS = select(ledger_call.c.call).where(ledger_call.c.call_id == _ids)
_WITH_APPEAL = select(appeal.c.call_id).where(appeal.c.call_id == _ids)
_PENDING = (
    select(ledger_call.c.call_id)
    .where(ledger_call.c.call_id == _ids)
    .union(select(appeal.c.call_id).where(appeal.c.call_id == _ids, appeal.c.outcome.is_(None)))
)
_DROP = delete(ledger_call).where(ledger_call.c.call_id == _ids)
_SAVE = text(
    """
    INSERT INTO ledger_call (call_id, call, over_at)
    SELECT call_id, call, CASE WHEN over THEN now() END
    FROM jsonb_to_recordset(:calls) AS given (call_id text, call jsonb, over boolean)
    ON CONFLICT (call_id) DO UPDATE SET call = excluded.call, over_at = excluded.over_at
    """
).bindparams(bindparam("calls", type_=JSONB))

_call = TypeAdapter(FallbackCall)

#: Refused calls by the beginning of their hour, trunk and status of SIP.
RefusalCounts = Counter[tuple[datetime, str, int]]


async def try_lock(connection: AsyncConnection) -> bool:
    """Take the lock of the CEL file until the end of the transaction; False: it is taken."""
    return bool(await connection.scalar(_TURN, {"number": _ONE_AT_A_TIME}))


async def read_position(connection: AsyncConnection, cel_file: Path) -> FilePosition:
    """The saved position in this CEL file."""
    rows = await connection.execute(
        select(
            ledger_position.c.head, ledger_position.c.bytes_read, ledger_position.c.written_ns
        ).where(ledger_position.c.ledger == str(cel_file))
    )
    row = rows.one_or_none()
    return START if row is None else FilePosition(*row)


async def save_position(connection: AsyncConnection, cel_file: Path, to: FilePosition) -> None:
    """Save the position in this CEL file."""
    values = {"head": to.head, "bytes_read": to.offset, "written_ns": to.written_ns}
    await connection.execute(
        insert(ledger_position)
        .values(ledger=str(cel_file), **values)
        .on_conflict_do_update(index_elements=["ledger"], set_=values)
    )


async def find_calls(
    connection: AsyncConnection, call_ids: Collection[str]
) -> dict[str, FallbackCall]:
    """Select the calls that are not accounted for yet."""
    rows = await connection.execute(_CALLS, {"ids": list(call_ids)})
    found = map(_call.validate_python, rows.scalars())
    return {call.call_id: call for call in found}


async def save(connection: AsyncConnection, changed: Sequence[FallbackCall]) -> None:
    """Save changed calls. A call with a new line is not over, unless that was its end."""
    if changed:
        rows = [
            {
                "call_id": call.call_id,
                "call": _call.dump_python(call, mode="json"),
                "over": call.ended_at is not None,
            }
            for call in changed
        ]
        await connection.execute(_SAVE, {"calls": rows})


async def list_open(connection: AsyncConnection) -> set[str]:
    """Ids of calls without an end."""
    rows = await connection.execute(
        select(ledger_call.c.call_id).where(ledger_call.c.over_at.is_(None))
    )
    return set(rows.scalars())


async def mark_over(connection: AsyncConnection, call_ids: Iterable[str]) -> None:
    """Mark these calls as over, although CEL has no end of them."""
    await connection.execute(
        update(ledger_call)
        .where(ledger_call.c.call_id.in_(list(call_ids)), ledger_call.c.over_at.is_(None))
        .values(over_at=func.now())
    )


async def list_over(
    connection: AsyncConnection, grace: timedelta, *, after: str, limit: int
) -> list[FallbackCall]:
    """Calls that were noticed as over this long ago, by their ids."""
    rows = await connection.execute(
        select(ledger_call.c.call)
        .where(ledger_call.c.over_at <= func.now() - grace, ledger_call.c.call_id > after)
        .order_by(ledger_call.c.call_id)
        .limit(limit)
    )
    return [_call.validate_python(row) for row in rows.scalars()]


async def filter_with_appeal(connection: AsyncConnection, call_ids: Collection[str]) -> set[str]:
    """Select the calls that have an appeal."""
    rows = await connection.execute(_WITH_APPEAL, {"ids": list(call_ids)})
    return set(rows.scalars())


async def filter_pending(connection: AsyncConnection, call_ids: Collection[str]) -> set[str]:
    """Select the calls that are not accounted for yet, or whose appeal has no outcome yet."""
    rows = await connection.execute(_PENDING, {"ids": list(call_ids)})
    return set(rows.scalars())


async def find_ended(connection: AsyncConnection, call_id: str) -> tuple[UUID, UUID | None] | None:
    """The appeal and the consultant of an ended call, None when there is no such call."""
    rows = await connection.execute(
        select(appeal.c.id, appeal.c.consultant_id).where(
            appeal.c.call_id == call_id, appeal.c.outcome.is_not(None)
        )
    )
    row = rows.one_or_none()
    return None if row is None else (row.id, row.consultant_id)


async def drop(connection: AsyncConnection, call_ids: Collection[str]) -> None:
    """Delete calls that are accounted for."""
    await connection.execute(_DROP, {"ids": list(call_ids)})


async def find_refused_callers(connection: AsyncConnection, since: datetime) -> set[CallerId]:
    """Callers of refused calls that have an appeal, and were received since then."""
    rows = await connection.execute(
        select(appeal.c.caller_kind, appeal.c.caller_number).where(
            appeal.c.received_at > since, appeal.c.call_id.startswith(REFUSED_PREFIX)
        )
    )
    return {CallerId(*row) for row in rows}


async def sum_refused(connection: AsyncConnection, since: datetime) -> int:
    """How many calls were refused in the hours that began since then."""
    query = select(func.coalesce(func.sum(refused_call.c.calls), 0)).where(
        refused_call.c.hour >= since
    )
    return int((await connection.execute(query)).scalar_one())


async def count_refused(connection: AsyncConnection, counts: RefusalCounts) -> None:
    """Add to the counts of refused calls."""
    rows = [
        {"hour": hour, "trunk": trunk, "status": status, "calls": calls}
        for (hour, trunk, status), calls in sorted(counts.items())
    ]
    adding = insert(refused_call)
    await connection.execute(
        adding.on_conflict_do_update(
            index_elements=["hour", "trunk", "status"],
            set_={"calls": refused_call.c.calls + adding.excluded.calls},
        ),
        rows,
    )
