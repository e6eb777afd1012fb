"""Reminders: "remind me on this day of that", for whoever works on an appeal."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.audit.actions import Action
from callcenter.errors import N_, AskedWrongly
from callcenter.register.handling import found, note
from callcenter.register.private import Keys
from callcenter.register.tables import record_reminder
from callcenter.storage.engine import unit_of_work
from callcenter.web.errors import NotFound
from callcenter.web.site import Site, Visit

LONGEST = 500  # characters
FARTHEST = timedelta(days=2 * 366)
NOT_THEN = N_("a reminder is for a moment from now on, within two years")
NO_WORDS = N_("say of what you want to be reminded, in up to 500 characters")


@dataclass(frozen=True, slots=True)
class Reminder:
    """What somebody wanted to be reminded of; `about` is personal data."""

    id: UUID
    user: str
    due_at: datetime
    about: str


async def remind(site: Site, visit: Visit, number: str, at: datetime, about: str) -> UUID:
    """Remind whoever asks, then. Raises AskedWrongly, NotFound."""
    now, about = datetime.now(UTC), about.strip()
    if at.tzinfo is None or not now - timedelta(minutes=1) <= at <= now + FARTHEST:
        raise AskedWrongly(NOT_THEN)
    if not about or len(about) > LONGEST or not about.isprintable():
        raise AskedWrongly(NO_WORDS)
    identity, keys = uuid4(), Keys.read(site.settings)
    async with unit_of_work(site.engine) as connection:
        row = await found(connection, number)
        await connection.execute(
            insert(record_reminder).values(
                id=identity,
                appeal_id=row.id,
                user_name=visit.who.removeprefix("user:"),
                due_at=at,
                sealed=keys.seal(identity, {"about": about}),
            )
        )
        due, which = at.astimezone(UTC).isoformat(timespec="minutes"), str(identity)
        await note(connection, visit, Action.REMINDER_SET, number, reminder=which, due_at=due)
    return identity


async def done(site: Site, visit: Visit, number: str, identity: UUID) -> None:
    """What it reminded of is done; again is nothing. Raises NotFound."""
    async with unit_of_work(site.engine) as connection:
        row = await found(connection, number)
        of_appeal = (record_reminder.c.id == identity, record_reminder.c.appeal_id == row.id)
        if (
            await connection.execute(select(record_reminder.c.id).where(*of_appeal))
        ).first() is None:
            raise NotFound("there is no reminder with this id")
        ended = await connection.execute(
            update(record_reminder)
            .where(*of_appeal, record_reminder.c.done_at.is_(None))
            .values(done_at=datetime.now(UTC), done_by=visit.who)
            .returning(record_reminder.c.id)
        )
        if ended.first() is not None:
            await note(connection, visit, Action.REMINDER_DONE, number, reminder=str(identity))


async def of_appeal(connection: AsyncConnection, keys: Keys, appeal_id: UUID) -> Sequence[Reminder]:
    """Those that are not done, the next due first. Raises Unreadable."""
    query = (
        select(record_reminder)
        .where(record_reminder.c.appeal_id == appeal_id, record_reminder.c.done_at.is_(None))
        .order_by(record_reminder.c.due_at)
    )
    return [
        Reminder(row.id, row.user_name, row.due_at, keys.open(row.id, row.sealed)["about"])
        for row in await connection.execute(query)
    ]
