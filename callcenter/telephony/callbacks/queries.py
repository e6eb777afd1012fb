"""Queries of callbacks and voicemail for pages and the API. Times are aware."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls.statistics import LiveCall
from callcenter.appeals.calls.tables import appeal
from callcenter.telephony.callbacks.rules import CallbackKind, CallbackState, is_overdue
from callcenter.telephony.callbacks.tables import promise


@dataclass(frozen=True, slots=True)
class CallbackView:
    """A callback or voicemail as shown; `appeal` is the number of its appeal.

    `number`, of the caller, is personal data: mask it. None: it was withheld.
    """

    id: UUID
    kind: CallbackKind
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
        """True if the next attempt has been due for too long."""
        return self.state == CallbackState.OPEN and is_overdue(self.due_at, now)


async def list_open(connection: AsyncConnection) -> list[CallbackView]:
    """The open callbacks and voicemail, the longest waiting first."""
    query = _query().where(promise.c.state == CallbackState.OPEN.value)
    return await _read(connection, query.order_by(promise.c.arrived_at, promise.c.id))


async def list_ended(connection: AsyncConnection, *, limit: int) -> list[CallbackView]:
    """The ended callbacks and voicemail, the newest request first."""
    query = _query().where(promise.c.state != CallbackState.OPEN.value)
    newest = query.order_by(promise.c.promised_at.desc(), promise.c.id)
    return await _read(connection, newest.limit(limit))


async def count_open(connection: AsyncConnection, overdue_at: datetime) -> tuple[int, int]:
    """Count open callbacks and voicemail, and those of them that were due before that moment."""
    overdue = func.count().filter(promise.c.due_at < overdue_at)
    # No parameter: a plan made for any state could not use the index of this one.
    is_open = promise.c.state == literal_column("'open'")
    query = select(func.count(), overdue).where(is_open)
    row = (await connection.execute(query)).one()
    return row[0], row[1]


async def find_call(connection: AsyncConnection, callback_id: UUID) -> LiveCall | None:
    """Find the call of a callback or voicemail, in the language in which it was requested."""
    query = (
        select(
            appeal.c.call_id,
            appeal.c.number,
            promise.c.language,
            func.coalesce(promise.c.number, appeal.c.caller_number),
            appeal.c.urgent,
        )
        .join_from(promise, appeal, appeal.c.id == promise.c.appeal_id)
        .where(promise.c.id == callback_id)
    )
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else LiveCall(*row)


def _query() -> Select[Any]:
    """Columns in the order of CallbackView."""
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


async def _read(connection: AsyncConnection, query: Select[Any]) -> list[CallbackView]:
    rows = await connection.execute(query)
    return [CallbackView(row[0], CallbackKind(row[1]), *row[2:]) for row in rows]
