"""Trees in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, exists, func, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls.tables import appeal
from tests.trial_room.tables import tree


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree that was promised to a caller; without a name once that is erased."""

    whom: str | None
    author: str
    promised_at: datetime
    planted_at: datetime | None


async def insert_new(connection: AsyncConnection, appeal_id: UUID, whom: str, author: str) -> None:
    """Insert a tree that is promised now."""
    now = datetime.now(UTC)
    values = {"whom": whom, "author": author, "promised_at": now}
    await connection.execute(insert(tree).values(id=uuid4(), appeal_id=appeal_id, **values))


async def mark_planted(connection: AsyncConnection, appeal_id: UUID) -> None:
    """Mark all trees of an appeal as planted."""
    now = datetime.now(UTC)
    await connection.execute(
        update(tree).where(tree.c.appeal_id == appeal_id).values(planted_at=now)
    )


async def list_trees(connection: AsyncConnection, appeal_id: UUID) -> Sequence[Tree]:
    """Trees of an appeal, in the order of their promises."""
    columns = [tree.c[name] for name in Tree.__slots__]
    query = select(*columns).where(tree.c.appeal_id == appeal_id).order_by(tree.c.promised_at)
    return [Tree(*row) for row in await connection.execute(query)]


async def move(connection: AsyncConnection, appeal_id: UUID, into: UUID) -> None:
    """Move the trees of an appeal to the one that it goes on in."""
    await connection.execute(
        update(tree).where(tree.c.appeal_id == appeal_id).values(appeal_id=into)
    )


async def copy(connection: AsyncConnection, appeal_id: UUID, part: UUID) -> None:
    """Copy the trees of an appeal to a part of it."""
    names = list(Tree.__slots__)
    rows = select(func.gen_random_uuid(), literal(part), *(tree.c[name] for name in names))
    await connection.execute(
        insert(tree).from_select(
            ["id", "appeal_id", *names], rows.where(tree.c.appeal_id == appeal_id)
        )
    )


async def awaits_any(connection: AsyncConnection) -> bool:
    """Whether a tree of any appeal is to be planted."""
    query = select(exists().where(tree.c.planted_at.is_(None)))
    return bool((await connection.execute(query)).scalar_one())


def is_awaited() -> ColumnElement[bool]:
    """Condition on `appeal`: a tree of it is to be planted."""
    return exists().where(tree.c.appeal_id == appeal.c.id, tree.c.planted_at.is_(None))
