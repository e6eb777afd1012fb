"""Page of care plans for frequent callers: make, review and end them."""

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import Response

from callcenter.appeals.calls.service import REASON_LIMIT
from callcenter.consultants import store as consultants
from callcenter.platform.core.caller_id import mask
from callcenter.platform.core.errors import N_, InvalidRequest, NotFound
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import AppContext, CurrentActor, CurrentSite
from callcenter.platform.web.errors import status_of
from callcenter.platform.web.page_actions import DECIDED_MEANWHILE, action, run_action
from callcenter.platform.web.templating import page
from callcenter.telephony.callers.care_plans import service
from callcenter.telephony.callers.care_plans.permissions import CarePlanPermission
from callcenter.telephony.callers.care_plans.rules import LONGEST
from callcenter.telephony.callers.care_plans.service import CarePlanDraft

NOT_EXTENDED = N_("The plan was not extended: choose a day within 180 days.")

router = APIRouter(
    include_in_schema=False, dependencies=[requires(CarePlanPermission.MANAGE_PLANS)]
)


@router.get("/plans")
async def plans(request: Request, site: CurrentSite) -> Response:
    """The plans in force, by the date of review."""
    return await _list(request, site)


@router.post("/plans")
async def make(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    form: Annotated[CarePlanDraft, Form()],
) -> Response:
    """Make a plan, or show the form again with the error."""
    return await action(
        service.make(site.engine, actor, form),
        "/plans",
        lambda refusal: _list(request, site, refusal),
    )


@router.post("/plans/{plan_id}/review")
async def review(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    plan_id: UUID,
    review_on: Annotated[date, Form()],
) -> Response:
    """Extend a plan to the date of the next review, or show that date again with the error."""
    return await action(
        service.review(site.engine, actor, plan_id, review_on),
        "/plans",
        lambda refusal: _list(request, site, refusal, _words_for(refusal)),
        reraise=(),
    )


@router.post("/plans/{plan_id}/end")
async def end(request: Request, site: CurrentSite, actor: CurrentActor, plan_id: UUID) -> Response:
    """End a plan, or show the list as it is now."""
    return await action(
        service.end(site.engine, actor, plan_id),
        "/plans",
        lambda refusal: _list(request, site, refusal, _words_for(refusal)),
        reraise=(),
    )


@router.post("/plans/{plan_id}/number")
async def show_number(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    plan_id: UUID,
    reason: Annotated[str, Form(max_length=REASON_LIMIT)],
) -> Response:
    """Show the list with this number whole; the reason is in the audit log."""
    return await run_action(
        service.show_number(site.engine, actor, plan_id, reason),
        lambda number: _list(request, site, whole={plan_id: number}),
        lambda refusal: _list(request, site, refusal, str(refusal)),
    )


def _words_for(refusal: InvalidRequest) -> str:
    """The words for a refusal to change a plan."""
    return DECIDED_MEANWHILE if isinstance(refusal, NotFound) else NOT_EXTENDED


async def _list(
    request: Request,
    site: AppContext,
    refusal: InvalidRequest | None = None,
    problem: str | None = None,
    *,
    whole: Mapping[UUID, str] = MappingProxyType({}),
) -> Response:
    """The list; a refusal stands above it as `problem`, or beside the form without one."""
    in_force = await service.list_plans(site.engine)
    async with unit_of_work(site.engine) as connection:
        active = await consultants.active(connection)
    today = service.today()
    return page(
        request,
        "care_plans/care_plans.html",
        status=200 if refusal is None else status_of(refusal),
        mask=mask,
        whole=whole,
        problem=problem,
        plans=in_force,
        consultants=active,
        today=today,
        latest=today + LONGEST,
        refused=refusal is not None and problem is None,
    )
