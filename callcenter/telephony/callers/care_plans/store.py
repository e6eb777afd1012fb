"""Store of care plans in PostgreSQL; every change notifies the controllers."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import UUID, uuid4

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.consultants.store import id_of
from callcenter.consultants.tables import consultant
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.storage.notified_cache import notify
from callcenter.telephony.callers.care_plans.tables import caller_plan

CHANNEL = "caller_plans"  #: of PostgreSQL's NOTIFY


@dataclass(frozen=True, slots=True)
class CarePlan:
    """A plan in force. Number and note are personal data: never log them."""

    id: UUID
    number: str
    extension: str
    consultant: str
    times: str
    note: str
    review_on: date
    author: str
    created_at: datetime


async def in_force(connection: AsyncConnection, number: str | None = None) -> list[CarePlan]:
    """The plans in force, of one number or of all, by the date of review."""
    query = (
        select(
            caller_plan.c.id,
            caller_plan.c.number,
            consultant.c.extension,
            consultant.c.name,
            caller_plan.c.times,
            caller_plan.c.note,
            caller_plan.c.review_on,
            caller_plan.c.author,
            caller_plan.c.created_at,
        )
        .join(consultant, consultant.c.id == caller_plan.c.consultant_id)
        .where(caller_plan.c.ended_at.is_(None))
        .order_by(caller_plan.c.review_on, caller_plan.c.number)
    )
    if number is not None:
        query = query.where(caller_plan.c.number == number)
    return [CarePlan(*row) for row in await connection.execute(query)]


async def make(
    connection: AsyncConnection,
    *,
    number: str,
    extension: str,
    times: str,
    note: str,
    review_on: date,
    author: str,
) -> UUID:
    """Make a plan for a number in E.164; an earlier one ends.

    Raises InvalidRequest for an unknown extension, or when another one is made at this moment.
    """
    now = datetime.now(UTC)
    await connection.execute(
        update(caller_plan)
        .where(caller_plan.c.number == number, caller_plan.c.ended_at.is_(None))
        .values(ended_at=now)
    )
    plan_id = uuid4()
    made = await connection.execute(
        insert(caller_plan)
        .on_conflict_do_nothing()
        .returning(caller_plan.c.id)
        .values(
            id=plan_id,
            number=number,
            consultant_id=await id_of(connection, extension),
            times=times,
            note=note,
            review_on=review_on,
            author=author,
            created_at=now,
        )
    )
    if made.scalar_one_or_none() is None:
        raise InvalidRequest(
            "somebody else is making a plan for this number: look at the list again"
        )
    await notify(connection, CHANNEL)
    return plan_id


async def review(
    connection: AsyncConnection, plan_id: UUID, *, review_on: date, author: str
) -> str | None:
    """Extend a plan to the next review; returns its number, None when it is not in force."""
    return await _change(connection, plan_id, review_on=review_on, author=author)


async def end(connection: AsyncConnection, plan_id: UUID) -> str | None:
    """End a plan; returns its number, None when it is not in force."""
    return await _change(connection, plan_id, ended_at=datetime.now(UTC))


async def delete_ended(connection: AsyncConnection, before: datetime) -> None:
    """Delete the plans that ended before this time."""
    await connection.execute(delete(caller_plan).where(caller_plan.c.ended_at < before))


async def _change(
    connection: AsyncConnection, plan_id: UUID, **values: date | datetime | str
) -> str | None:
    changed = await connection.execute(
        update(caller_plan)
        .where(caller_plan.c.id == plan_id, caller_plan.c.ended_at.is_(None))
        .values(values)
        .returning(caller_plan.c.number)
    )
    await notify(connection, CHANNEL)
    number: str | None = changed.scalar_one_or_none()
    return number
