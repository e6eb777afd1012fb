"""The steps of a record in PostgreSQL: who moved it, when and why."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.register.stages import Stage
from callcenter.register.tables import record_move


@dataclass(frozen=True, slots=True)
class Step:
    """A move, or a step within a stage."""

    at: datetime
    author: str
    before: Stage
    after: Stage
    reason: str


async def add_move(
    connection: AsyncConnection,
    appeal_id: UUID,
    author: str,
    before: Stage,
    after: Stage,
    reason: str,
) -> None:
    """Note a step: from stage to stage, or within one (an extension, danger passed on)."""
    await connection.execute(
        insert(record_move).values(
            appeal_id=appeal_id,
            at=datetime.now(UTC),
            author=author,
            before=before.value,
            after=after.value,
            reason=reason,
        )
    )


async def moves(connection: AsyncConnection, appeal_id: UUID) -> list[Step]:
    """The steps of a record, in their order."""
    query = (
        select(*(record_move.c[name] for name in ("at", "author", "before", "after", "reason")))
        .where(record_move.c.appeal_id == appeal_id)
        .order_by(record_move.c.id)
    )
    return [
        Step(row.at, row.author, Stage(row.before), Stage(row.after), row.reason)
        for row in await connection.execute(query)
    ]
