"""Plans for frequent callers in JSON, below /api/v1, and the caller who is offered to you now."""

from datetime import date
from typing import Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field

from callcenter.appeals import store as appeals
from callcenter.consultants.api import own_extension
from callcenter.consultants.dispatch import Dispatch
from callcenter.plans import store
from callcenter.storage.engine import unit_of_work
from callcenter.web.access import needs
from callcenter.web.errors import NotFound
from callcenter.web.permissions import Permission
from callcenter.web.site import CurrentSite, CurrentVisit

router = APIRouter(tags=["plans"])


class Agreed(BaseModel):
    """What was agreed with a frequent caller, for whoever answers."""

    extension: str = Field(description="of the consultant to whom the caller goes first")
    consultant: str
    times: str
    note: str


class Plan(Agreed):
    """A plan in force."""

    id: UUID
    number: str = Field(description="E.164")
    review_on: date


class Offered(BaseModel):
    """The caller who is offered to you, whose telephone rings or with whom you talk."""

    appeal: str
    language: Literal["kk", "ru"] | None
    urgent: list[Literal["silent", "danger"]]
    plan: Agreed | None


@router.get("/api/v1/plans", dependencies=[needs(Permission.MANAGE_PLANS)])
async def list_plans(site: CurrentSite) -> list[Plan]:
    """The plans in force, the one to be reviewed first at first."""
    async with unit_of_work(site.engine) as connection:
        plans = await store.in_force(connection)
    return [Plan.model_validate(plan, from_attributes=True) for plan in plans]


@router.get("/api/v1/calls/mine/caller", dependencies=[needs(Permission.OWN_DUTY)])
async def read_own_caller(site: CurrentSite, visit: CurrentVisit) -> Offered:
    """Whose appeal it is that you are offered now, and what was agreed with that caller."""
    held = await Dispatch(site.redis).held_by(await own_extension(site, visit))
    async with unit_of_work(site.engine) as connection:
        row = await appeals.of_call(connection, held.id)
        if row is None:
            raise NotFound("your call is no caller's, or its appeal is being opened")
        plans = await store.in_force(connection, row.caller_number) if row.caller_number else []
    return Offered(
        appeal=row.number,
        language=row.language,
        urgent=row.urgent,
        plan=Agreed.model_validate(plans[0], from_attributes=True) if plans else None,
    )
