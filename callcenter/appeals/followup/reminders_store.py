"""Reminders of appeals in PostgreSQL; what each is about is sealed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls.tables import appeal
from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.tables import record_reminder
from callcenter.platform.core.errors import NotFound

SHOWN_LIMIT = 20  # of what one is reminded of in a day: the work list has the others


@dataclass(frozen=True, slots=True)
class Reminder:
    """Reminder of a user; `about` is personal data."""

    id: UUID
    user: str
    due_at: datetime
    about: str


@dataclass(frozen=True, slots=True)
class DueReminder:
    """A moment at which somebody is to be reminded, and of which appeal; without the text."""

    due_at: datetime
    number: str


async def insert_new(
    connection: AsyncConnection,
    keys: RecordKeys,
    appeal_id: UUID,
    *,
    user: str,
    due_at: datetime,
    about: str,
) -> UUID:
    """Insert a reminder of a user; returns its id."""
    identity = uuid4()
    await connection.execute(
        insert(record_reminder).values(
            id=identity,
            appeal_id=appeal_id,
            user_name=user,
            due_at=due_at,
            sealed=keys.seal(identity, {"about": about}),
        )
    )
    return identity


async def mark_done(
    connection: AsyncConnection, appeal_id: UUID, identity: UUID, author: str
) -> bool:
    """Mark a reminder as done; False when it was. Raises NotFound."""
    of_appeal = (record_reminder.c.id == identity, record_reminder.c.appeal_id == appeal_id)
    if (await connection.execute(select(record_reminder.c.id).where(*of_appeal))).first() is None:
        raise NotFound("there is no reminder with this id")
    ended = await connection.execute(
        update(record_reminder)
        .where(*of_appeal, record_reminder.c.done_at.is_(None))
        .values(done_at=datetime.now(UTC), done_by=author)
        .returning(record_reminder.c.id)
    )
    return ended.first() is not None


async def list_of_appeal(
    connection: AsyncConnection, keys: RecordKeys, appeal_id: UUID
) -> Sequence[Reminder]:
    """Return reminders that are not done, the next due first. Raises Unreadable."""
    query = (
        select(record_reminder)
        .where(record_reminder.c.appeal_id == appeal_id, record_reminder.c.done_at.is_(None))
        .order_by(record_reminder.c.due_at)
    )
    return [
        Reminder(row.id, row.user_name, row.due_at, keys.open(row.id, row.sealed)["about"])
        for row in await connection.execute(query)
    ]


async def list_due(connection: AsyncConnection, user: str, before: datetime) -> list[DueReminder]:
    """Return a user's reminders that are due by then and not done, the next due first."""
    query = (
        select(record_reminder.c.due_at, appeal.c.number)
        .join(appeal, appeal.c.id == record_reminder.c.appeal_id)
        .where(
            record_reminder.c.user_name == user,
            record_reminder.c.done_at.is_(None),
            record_reminder.c.due_at < before,
        )
        .order_by(record_reminder.c.due_at)
        .limit(SHOWN_LIMIT)
    )
    return [DueReminder(*row) for row in await connection.execute(query)]
