"""Plans for frequent callers in PostgreSQL. Every change is told to the controllers."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import UUID, uuid4

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.consultants.store import id_of
from callcenter.consultants.tables import consultant
from callcenter.errors import AskedWrongly
from callcenter.plans.tables import caller_plan

CHANNEL = "caller_plans"  #: of PostgreSQL's NOTIFY


@dataclass(frozen=True, slots=True)
class Plan:
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


async def in_force(connection: AsyncConnection, number: str | None = None) -> list[Plan]:
    """The plans that hold now, of one number or of all, the one to be reviewed first at first."""
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
    return [Plan(*row) for row in await connection.execute(query)]


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
    """Make a plan for a number in E.164; one that held ends with it.

    Raises AskedWrongly for an unknown extension, or when somebody else makes one this moment.
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
        raise AskedWrongly("somebody else is making a plan for this number: look at the list again")
    await _tell(connection)
    return plan_id


async def review(
    connection: AsyncConnection, plan_id: UUID, *, review_on: date, author: str
) -> str | None:
    """Go on with a plan until the next review; its number, None when it does not hold."""
    return await _change(connection, plan_id, review_on=review_on, author=author)


async def end(connection: AsyncConnection, plan_id: UUID) -> str | None:
    """End a plan; its number, None when it does not hold."""
    return await _change(connection, plan_id, ended_at=datetime.now(UTC))


async def _change(
    connection: AsyncConnection, plan_id: UUID, **values: date | datetime | str
) -> str | None:
    changed = await connection.execute(
        update(caller_plan)
        .where(caller_plan.c.id == plan_id, caller_plan.c.ended_at.is_(None))
        .values(values)
        .returning(caller_plan.c.number)
    )
    await _tell(connection)
    number: str | None = changed.scalar_one_or_none()
    return number


async def _tell(connection: AsyncConnection) -> None:
    await connection.execute(select(func.pg_notify(CHANNEL, "")))
