"""JSON API of care plans, below /api/v1, and of the caller offered to a consultant now."""

from dataclasses import replace
from datetime import date
from typing import Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field

from callcenter.appeals.calls import store as appeals
from callcenter.consultants.permissions import ConsultantPermission
from callcenter.consultants.service import find_own_extension
from callcenter.platform.core.caller_id import mask
from callcenter.platform.core.errors import NotFound
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentActor, CurrentSite
from callcenter.telephony.acd.dependencies import CurrentCommands
from callcenter.telephony.callers.care_plans import service, store
from callcenter.telephony.callers.care_plans.permissions import CarePlanPermission

router = APIRouter(tags=["plans"])


class CarePlanText(BaseModel):
    """The agreement with a frequent caller, for the consultant who answers."""

    extension: str = Field(description="of the consultant to whom the caller goes first")
    consultant: str
    times: str
    note: str


class Plan(CarePlanText):
    """A plan in force."""

    id: UUID
    number: str = Field(description="masked")
    review_on: date


class OfferedCaller(BaseModel):
    """The caller who is offered to you, or with whom you talk."""

    appeal: str
    language: Literal["kk", "ru"] | None
    urgent: list[Literal["silent", "danger"]]
    plan: CarePlanText | None


@router.get("/api/v1/plans", dependencies=[requires(CarePlanPermission.MANAGE_PLANS)])
async def list_plans(site: CurrentSite) -> list[Plan]:
    """The plans in force, by the date of review."""
    plans = await service.list_plans(site.engine)
    return [
        Plan.model_validate(replace(plan, number=mask(plan.number)), from_attributes=True)
        for plan in plans
    ]


@router.get("/api/v1/calls/mine/caller", dependencies=[requires(ConsultantPermission.OWN_DUTY)])
async def read_own_caller(
    site: CurrentSite, actor: CurrentActor, commands: CurrentCommands
) -> OfferedCaller:
    """The caller offered to you now, with the appeal and the care plan."""
    held = await commands.find_active_call(await find_own_extension(site.engine, actor))
    async with unit_of_work(site.engine) as connection:
        row = await appeals.find_by_call(connection, held.id)
        if row is None:
            raise NotFound("your call is no caller's, or its appeal is being opened")
        plans = await store.in_force(connection, row.caller_number) if row.caller_number else []
    return OfferedCaller(
        appeal=row.number,
        language=row.language,
        urgent=row.urgent,
        plan=CarePlanText.model_validate(plans[0], from_attributes=True) if plans else None,
    )
