"""The reading of the ledger in PostgreSQL: its position, and calls that are not accounted for."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import Text, any_, bindparam, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.tables import appeal
from callcenter.ledger.calls import LedgerCall
from callcenter.ledger.files import START, Position
from callcenter.ledger.tables import ledger_call, ledger_position

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

_call = TypeAdapter(LedgerCall)


async def my_turn(connection: AsyncConnection) -> bool:
    """Whether nobody else is at the ledger; if so, nobody else will be in this transaction."""
    return bool(await connection.scalar(_TURN, {"number": _ONE_AT_A_TIME}))


async def position(connection: AsyncConnection, ledger: Path) -> Position:
    """How far this ledger was read."""
    rows = await connection.execute(
        select(
            ledger_position.c.head, ledger_position.c.bytes_read, ledger_position.c.written_ns
        ).where(ledger_position.c.ledger == str(ledger))
    )
    row = rows.one_or_none()
    return START if row is None else Position(*row)


async def move(connection: AsyncConnection, ledger: Path, to: Position) -> None:
    """Note how far this ledger was read."""
    values = {"head": to.head, "bytes_read": to.offset, "written_ns": to.written_ns}
    await connection.execute(
        insert(ledger_position)
        .values(ledger=str(ledger), **values)
        .on_conflict_do_update(index_elements=["ledger"], set_=values)
    )


async def calls(connection: AsyncConnection, call_ids: Collection[str]) -> dict[str, LedgerCall]:
    """Those of these calls that are not accounted for yet."""
    rows = await connection.execute(_CALLS, {"ids": list(call_ids)})
    found = map(_call.validate_python, rows.scalars())
    return {call.call_id: call for call in found}


async def save(connection: AsyncConnection, changed: Sequence[LedgerCall]) -> None:
    """Keep calls as they are now. One that a line came of is not over, unless that was its end."""
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


async def in_progress(connection: AsyncConnection) -> set[str]:
    """Calls that are not over as far as we know."""
    rows = await connection.execute(
        select(ledger_call.c.call_id).where(ledger_call.c.over_at.is_(None))
    )
    return set(rows.scalars())


async def mark_over(connection: AsyncConnection, call_ids: Iterable[str]) -> None:
    """Note that these calls are over, though the ledger has no end of them."""
    await connection.execute(
        update(ledger_call)
        .where(ledger_call.c.call_id.in_(list(call_ids)), ledger_call.c.over_at.is_(None))
        .values(over_at=func.now())
    )


async def over_since(
    connection: AsyncConnection, grace: timedelta, *, after: str, limit: int
) -> list[LedgerCall]:
    """Calls that we have known to be over for this long, in the order of their ids."""
    rows = await connection.execute(
        select(ledger_call.c.call)
        .where(ledger_call.c.over_at <= func.now() - grace, ledger_call.c.call_id > after)
        .order_by(ledger_call.c.call_id)
        .limit(limit)
    )
    return [_call.validate_python(row) for row in rows.scalars()]


async def with_appeal(connection: AsyncConnection, call_ids: Collection[str]) -> set[str]:
    """Those of these calls that have an appeal."""
    rows = await connection.execute(_WITH_APPEAL, {"ids": list(call_ids)})
    return set(rows.scalars())


async def pending(connection: AsyncConnection, call_ids: Collection[str]) -> set[str]:
    """Those of these calls that are not accounted for yet, or whose appeal has no outcome yet."""
    rows = await connection.execute(_PENDING, {"ids": list(call_ids)})
    return set(rows.scalars())


async def ended(connection: AsyncConnection, call_id: str) -> tuple[UUID, UUID | None] | None:
    """The appeal and the consultant of a call that is over, None when there is no such call."""
    rows = await connection.execute(
        select(appeal.c.id, appeal.c.consultant_id).where(
            appeal.c.call_id == call_id, appeal.c.outcome.is_not(None)
        )
    )
    row = rows.one_or_none()
    return None if row is None else (row.id, row.consultant_id)


async def drop(connection: AsyncConnection, call_ids: Collection[str]) -> None:
    """Forget calls that are accounted for."""
    await connection.execute(_DROP, {"ids": list(call_ids)})


async def extend(connection: AsyncConnection, appeal_id: UUID, ended_at: datetime) -> None:
    """An appeal that was closed when its call went to the fallback ends when the call does."""
    await connection.execute(
        update(appeal)
        .where(appeal.c.id == appeal_id, appeal.c.ended_at < ended_at)
        .values(ended_at=ended_at)
    )
