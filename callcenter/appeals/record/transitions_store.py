"""Store of the transitions of records, with author, time and reason."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.rules.states import AppealState
from callcenter.appeals.tables import record_move


@dataclass(frozen=True, slots=True)
class StoredTransition:
    """A move between stages, or a step within one."""

    at: datetime
    author: str
    before: AppealState
    after: AppealState
    reason: str


async def add(
    connection: AsyncConnection,
    appeal_id: UUID,
    author: str,
    before: AppealState,
    after: AppealState,
    reason: str,
    *,
    at: datetime | None = None,
) -> None:
    """Add a move between stages, or a step within one (an extension, danger reported).

    It was `at` that time if it is done again, else it is now.
    """
    await connection.execute(
        insert(record_move).values(
            appeal_id=appeal_id,
            at=at or datetime.now(UTC),
            author=author,
            before=before.value,
            after=after.value,
            reason=reason,
        )
    )


async def list_of_record(connection: AsyncConnection, appeal_id: UUID) -> list[StoredTransition]:
    """The transitions of a record, in their order."""
    query = (
        select(*(record_move.c[name] for name in ("at", "author", "before", "after", "reason")))
        .where(record_move.c.appeal_id == appeal_id)
        .order_by(record_move.c.id)
    )
    return [
        StoredTransition(
            row.at, row.author, AppealState(row.before), AppealState(row.after), row.reason
        )
        for row in await connection.execute(query)
    ]
