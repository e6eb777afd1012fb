"""Promises as pages and the API show them. Times are aware."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.tables import appeal
from callcenter.promises.states import Kind, State, is_overdue
from callcenter.promises.tables import promise


@dataclass(frozen=True, slots=True)
class Promise:
    """A promise as pages and the API show it; `appeal` is the number of its appeal.

    `number`, of whoever was promised, is personal data: mask it. None: it was withheld.
    """

    id: UUID
    kind: Kind
    appeal: str
    number: str | None
    language: str
    urgent: bool
    arrived_at: datetime
    promised_at: datetime
    attempts: int
    due_at: datetime
    state: str
    ended_at: datetime | None

    def is_overdue(self, now: datetime) -> bool:
        """Whether its next attempt has been due for too long."""
        return self.state == State.OPEN and is_overdue(self.due_at, now)


async def open_ones(connection: AsyncConnection) -> list[Promise]:
    """Promises that are to be kept, the longest waiting first."""
    query = _shown().where(promise.c.state == State.OPEN.value)
    return await _read(connection, query.order_by(promise.c.arrived_at, promise.c.id))


async def newest_ended(connection: AsyncConnection, *, limit: int) -> list[Promise]:
    """Promises that have ended, the newest promise first."""
    query = _shown().where(promise.c.state != State.OPEN.value)
    newest = query.order_by(promise.c.promised_at.desc(), promise.c.id)
    return await _read(connection, newest.limit(limit))


def _shown() -> Select[Any]:
    """Columns in the order of Promise."""
    return select(
        promise.c.id,
        promise.c.kind,
        appeal.c.number,
        func.coalesce(promise.c.number, appeal.c.caller_number),
        promise.c.language,
        promise.c.urgent,
        promise.c.arrived_at,
        promise.c.promised_at,
        promise.c.attempts,
        promise.c.due_at,
        promise.c.state,
        promise.c.ended_at,
    ).join_from(promise, appeal)


async def _read(connection: AsyncConnection, query: Select[Any]) -> list[Promise]:
    rows = await connection.execute(query)
    return [Promise(row[0], Kind(row[1]), *row[2:]) for row in rows]
