"""Reminders of an appeal, for the user who sets them."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.actions import AppealAction
from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.followup import reminders_store as store
from callcenter.appeals.record.service import audit_appeal, get_appeal, require_request
from callcenter.platform.core.errors import N_, InvalidRequest
from callcenter.platform.identity.actor import Actor
from callcenter.platform.storage.engine import unit_of_work

TEXT_LIMIT = 500  # characters
DUE_LIMIT = timedelta(days=2 * 366)
BAD_MOMENT = N_("a reminder is for a moment from now on, within two years")
BAD_TEXT = N_("enter what the reminder is about, in up to 500 characters")


async def remind(
    engine: AsyncEngine, keys: RecordKeys, actor: Actor, number: str, at: datetime, about: str
) -> UUID:
    """Set a reminder for the actor. Raises InvalidRequest, NotFound."""
    now, about = datetime.now(UTC), about.strip()
    if at.tzinfo is None or not now - timedelta(minutes=1) <= at <= now + DUE_LIMIT:
        raise InvalidRequest(BAD_MOMENT)
    if not about or len(about) > TEXT_LIMIT or not about.isprintable():
        raise InvalidRequest(BAD_TEXT)
    async with unit_of_work(engine) as connection:
        row = await get_appeal(connection, number)
        await require_request(connection, row.id)
        identity = await store.insert_new(
            connection, keys, row.id, user=actor.name, due_at=at, about=about
        )
        due, which = at.astimezone(UTC).isoformat(timespec="minutes"), str(identity)
        await audit_appeal(
            connection, actor, AppealAction.REMINDER_SET, number, reminder=which, due_at=due
        )
    return identity


async def finish(engine: AsyncEngine, actor: Actor, number: str, identity: UUID) -> None:
    """Mark a reminder as done. Repeatable. Raises NotFound."""
    async with unit_of_work(engine) as connection:
        row = await get_appeal(connection, number)
        if await store.mark_done(connection, row.id, identity, actor.who):
            await audit_appeal(
                connection, actor, AppealAction.REMINDER_DONE, number, reminder=str(identity)
            )
