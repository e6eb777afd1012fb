"""Service of care plans: make, review and end, with audit entries."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.calls.service import audit_shown_number
from callcenter.platform.audit.actions import Action
from callcenter.platform.core.caller_id import mask
from callcenter.platform.core.errors import NotFound
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.callers.care_plans import store
from callcenter.telephony.callers.care_plans.actions import CarePlanAction
from callcenter.telephony.callers.care_plans.rules import (
    LONGEST_NOTE,
    LONGEST_TIMES,
    check_review,
    check_text,
)
from callcenter.telephony.callers.care_plans.store import CarePlan
from callcenter.telephony.callers.rules import check_number


class CarePlanDraft(BaseModel):
    """A care plan as typed in the form; number and note are personal data: never log them."""

    number: Annotated[str, Field(max_length=40)]
    extension: Annotated[str, Field(max_length=6)]
    times: Annotated[str, Field(max_length=400)]
    note: Annotated[str, Field(max_length=4000)]
    review_on: date


async def make(engine: AsyncEngine, actor: Actor, draft: CarePlanDraft) -> None:
    """Make a plan, which replaces an earlier one. Raises InvalidRequest for an invalid draft."""
    number = check_number(draft.number)
    async with unit_of_work(engine) as connection:
        plan_id = await store.make(
            connection,
            number=number,
            extension=draft.extension,
            times=check_text(draft.times, LONGEST_TIMES),
            note=check_text(draft.note, LONGEST_NOTE),
            review_on=check_review(draft.review_on, today()),
            author=actor.who,
        )
        detail = {"extension": draft.extension}
        await _audit_plan(connection, actor, CarePlanAction.PLAN_MADE, plan_id, number, **detail)


async def list_plans(engine: AsyncEngine) -> list[CarePlan]:
    """The plans in force, by the date of review."""
    async with unit_of_work(engine) as connection:
        return await store.in_force(connection)


async def show_number(engine: AsyncEngine, actor: Actor, plan_id: UUID, reason: str) -> str:
    """The number of a plan in force, whole; audited with the reason.

    Raises NotFound, Forbidden, InvalidRequest.
    """
    async with unit_of_work(engine) as connection:
        numbers = {plan.id: plan.number for plan in await store.in_force(connection)}
        if plan_id not in numbers:
            raise NotFound("no such plan holds: look at the list again")
        await audit_shown_number(connection, actor, f"plan:{plan_id}", reason)
    return numbers[plan_id]


async def review(engine: AsyncEngine, actor: Actor, plan_id: UUID, review_on: date) -> None:
    """Extend a plan to the next review. Raises NotFound when no such plan is in force."""
    async with unit_of_work(engine) as connection:
        until = check_review(review_on, today())
        number = await store.review(connection, plan_id, review_on=until, author=actor.who)
        detail = {"review_on": until.isoformat()}
        await _audit_plan(
            connection, actor, CarePlanAction.PLAN_REVIEWED, plan_id, number, **detail
        )


async def end(engine: AsyncEngine, actor: Actor, plan_id: UUID) -> None:
    """End a plan. Raises NotFound when no such plan is in force."""
    async with unit_of_work(engine) as connection:
        number = await store.end(connection, plan_id)
        await _audit_plan(connection, actor, CarePlanAction.PLAN_ENDED, plan_id, number)


def today() -> date:
    """The date in Asia/Almaty."""
    return datetime.now(ZONE).date()


async def _audit_plan(
    connection: AsyncConnection,
    actor: Actor,
    action: Action,
    plan_id: UUID,
    number: str | None,
    **detail: str,
) -> None:
    if number is None:
        raise NotFound("no such plan holds: look at the list again")
    await audit_action(
        connection, actor, action, f"plan:{plan_id}", {"number": mask(number), **detail}
    )
