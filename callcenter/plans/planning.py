"""Making, reviewing and ending plans for somebody: each with its entry in the audit log."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.callers import mask
from callcenter.audit.actions import Action
from callcenter.audit.store import record
from callcenter.plans import store
from callcenter.plans.texts import (
    LONGEST_NOTE,
    LONGEST_TIMES,
    check_number,
    check_review,
    check_text,
)
from callcenter.storage.engine import unit_of_work
from callcenter.web.errors import NotFound
from callcenter.web.site import Site, Visit
from callcenter.web.words import ZONE


async def make(
    site: Site,
    visit: Visit,
    *,
    number: str,
    extension: str,
    times: str,
    note: str,
    review_on: date,
) -> None:
    """Make a plan; a new one replaces one. Raises AskedWrongly for what cannot be one."""
    checked = check_number(number)
    async with unit_of_work(site.engine) as connection:
        plan_id = await store.make(
            connection,
            number=checked,
            extension=extension,
            times=check_text(times, LONGEST_TIMES),
            note=check_text(note, LONGEST_NOTE),
            review_on=check_review(review_on, today()),
            author=visit.who,
        )
        await _note(connection, visit, Action.PLAN_MADE, plan_id, checked, extension=extension)


async def review(site: Site, visit: Visit, plan_id: UUID, review_on: date) -> None:
    """Go on with a plan until the next review. Raises NotFound when no such plan holds."""
    async with unit_of_work(site.engine) as connection:
        until = check_review(review_on, today())
        number = await store.review(connection, plan_id, review_on=until, author=visit.who)
        detail = {"review_on": until.isoformat()}
        await _note(connection, visit, Action.PLAN_REVIEWED, plan_id, number, **detail)


async def end(site: Site, visit: Visit, plan_id: UUID) -> None:
    """End a plan. Raises NotFound when no such plan holds."""
    async with unit_of_work(site.engine) as connection:
        number = await store.end(connection, plan_id)
        await _note(connection, visit, Action.PLAN_ENDED, plan_id, number)


def today() -> date:
    """The day in Asia/Almaty."""
    return datetime.now(ZONE).date()


async def _note(
    connection: AsyncConnection,
    visit: Visit,
    action: Action,
    plan_id: UUID,
    number: str | None,
    **detail: str,
) -> None:
    if number is None:
        raise NotFound("no such plan holds: look at the list again")
    await record(
        connection,
        who=visit.who,
        action=action,
        subject=f"plan:{plan_id}",
        detail={"number": mask(number), **detail},
        from_address=visit.address,
    )
