"""Store of the blocklist in PostgreSQL; every commit notifies the controllers."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.storage.notified_cache import notify
from callcenter.telephony.callers.blocklist.rules import BlockReason
from callcenter.telephony.callers.blocklist.tables import blocked_number

CHANNEL = "blocked_numbers"  #: of PostgreSQL's NOTIFY


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a number, in force or not. `number` is personal data: never log it."""

    id: UUID
    number: str
    until: datetime
    reason: BlockReason
    author: str
    created_at: datetime
    lifted_at: datetime | None

    def is_in_force(self, now: datetime) -> bool:
        return self.lifted_at is None and now < self.until


def _query() -> Select[Any]:
    """Columns in the order of Block."""
    return select(
        blocked_number.c.id,
        blocked_number.c.number,
        blocked_number.c.until,
        blocked_number.c.reason,
        blocked_number.c.author,
        blocked_number.c.created_at,
        blocked_number.c.lifted_at,
    )


async def _read(connection: AsyncConnection, query: Select[Any]) -> list[Block]:
    return [
        Block(row.id, row.number, row.until, BlockReason(row.reason), *row[4:])
        for row in await connection.execute(query)
    ]


async def in_force(connection: AsyncConnection) -> list[Block]:
    """The blocks in force, by their end."""
    query = _query().where(
        blocked_number.c.lifted_at.is_(None), blocked_number.c.until > datetime.now(UTC)
    )
    return await _read(connection, query.order_by(blocked_number.c.until, blocked_number.c.id))


async def find(connection: AsyncConnection, block_id: UUID) -> Block | None:
    """The block of this id, in force or not."""
    found = await _read(connection, _query().where(blocked_number.c.id == block_id))
    return found[0] if found else None


async def newest(connection: AsyncConnection, *, limit: int) -> list[Block]:
    """Blocks in force and past, the newest first."""
    query = _query().order_by(blocked_number.c.created_at.desc(), blocked_number.c.id).limit(limit)
    return await _read(connection, query)


async def block(
    connection: AsyncConnection, *, number: str, length: timedelta, reason: BlockReason, author: str
) -> Block:
    """Block a number in E.164 from now on; ends an earlier block in force.

    Raises InvalidRequest when the number is blocked by another request at this moment.
    """
    now = datetime.now(UTC)
    await connection.execute(
        update(blocked_number)
        .where(blocked_number.c.number == number, blocked_number.c.lifted_at.is_(None))
        .values(lifted_at=func.least(blocked_number.c.until, now))
    )
    new = Block(uuid4(), number, now + length, reason, author, now, None)
    result = await connection.execute(
        insert(blocked_number)
        .on_conflict_do_nothing()
        .returning(blocked_number.c.id)
        .values(
            id=new.id,
            number=new.number,
            until=new.until,
            reason=new.reason.value,
            author=new.author,
            created_at=new.created_at,
        )
    )
    if result.scalar_one_or_none() is None:
        raise InvalidRequest("somebody else is blocking this number: look at the list again")
    await notify(connection, CHANNEL)
    return new


async def lift(connection: AsyncConnection, block_id: UUID) -> Block | None:
    """End a block now; None when no block of this id is in force."""
    now = datetime.now(UTC)
    result = await connection.execute(
        update(blocked_number)
        .where(
            blocked_number.c.id == block_id,
            blocked_number.c.lifted_at.is_(None),
            blocked_number.c.until > now,
        )
        .values(lifted_at=now)
    )
    if result.rowcount == 0:
        return None
    await notify(connection, CHANNEL)
    return await find(connection, block_id)


async def delete_ended(connection: AsyncConnection, before: datetime) -> None:
    """Delete the blocks that ended before this time."""
    ended_at = func.coalesce(blocked_number.c.lifted_at, blocked_number.c.until)
    await connection.execute(delete(blocked_number).where(ended_at < before))
