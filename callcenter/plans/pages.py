"""The page of plans for frequent callers: to make, review and end them."""

from datetime import date
from pathlib import Path
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from callcenter.consultants import store as consultants
from callcenter.errors import AskedWrongly
from callcenter.plans import planning, store
from callcenter.plans.texts import LONGEST
from callcenter.storage.engine import unit_of_work
from callcenter.web.access import needs
from callcenter.web.permissions import Permission
from callcenter.web.rendering import page
from callcenter.web.site import CurrentSite, CurrentVisit, Site

TEMPLATES = Path(__file__).parent / "templates"
SEE_OTHER = 303

router = APIRouter(include_in_schema=False, dependencies=[needs(Permission.MANAGE_PLANS)])


@router.get("/plans")
async def plans(request: Request, site: CurrentSite) -> Response:
    """The plans in force, the one to be reviewed first at first."""
    return await _list(request, site)


@router.post("/plans")
async def make(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    number: Annotated[str, Form(max_length=40)],
    extension: Annotated[str, Form(max_length=6)],
    times: Annotated[str, Form(max_length=400)],
    note: Annotated[str, Form(max_length=4000)],
    review_on: Annotated[date, Form()],
) -> Response:
    """Make a plan; what was typed wrongly is said beside the form."""
    try:
        await planning.make(
            site,
            visit,
            number=number,
            extension=extension,
            times=times,
            note=note,
            review_on=review_on,
        )
    except AskedWrongly:
        return await _list(request, site, refused=True)
    return RedirectResponse("/plans", SEE_OTHER)


@router.post("/plans/{plan_id}/review")
async def review(
    site: CurrentSite, visit: CurrentVisit, plan_id: UUID, review_on: Annotated[date, Form()]
) -> Response:
    """Go on with a plan until the day of the next review."""
    await planning.review(site, visit, plan_id, review_on)
    return RedirectResponse("/plans", SEE_OTHER)


@router.post("/plans/{plan_id}/end")
async def end(site: CurrentSite, visit: CurrentVisit, plan_id: UUID) -> Response:
    """End a plan."""
    await planning.end(site, visit, plan_id)
    return RedirectResponse("/plans", SEE_OTHER)


async def _list(request: Request, site: Site, *, refused: bool = False) -> Response:
    async with unit_of_work(site.engine) as connection:
        in_force = await store.in_force(connection)
        active = await consultants.active(connection)
    today = planning.today()
    return page(
        request,
        "plans/plans.html",
        status=400 if refused else 200,
        plans=in_force,
        consultants=active,
        today=today,
        latest=today + LONGEST,
        refused=refused,
    )
