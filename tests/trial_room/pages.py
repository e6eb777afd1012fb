"""Pages of the garden, and what is done with trees on the page of an appeal."""

from typing import Annotated

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from callcenter.appeals.web.record_actions import CurrentRecord
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentActor, CurrentSite
from callcenter.platform.web.form_fields import NO_NUL
from callcenter.platform.web.page_actions import SEE_OTHER
from callcenter.platform.web.templating import page
from tests.trial_room import service
from tests.trial_room.permissions import GardenPermission

router = APIRouter(include_in_schema=False, dependencies=[requires(GardenPermission.TEND)])


@router.get("/garden")
async def garden(request: Request) -> Response:
    """Show the garden."""
    return page(request, "garden/garden.html", trees=())


@router.get("/garden/{number}")
async def trees(request: Request, site: CurrentSite, actor: CurrentActor, number: str) -> Response:
    """Show the trees of an appeal, after the audit log says who looks at them."""
    found = await service.view(site.engine, actor, number)
    return page(request, "garden/garden.html", trees=found)


@router.post("/appeals/{number}/trees")
async def promise(
    record: CurrentRecord,
    whom: Annotated[str, Form(min_length=1, max_length=100, pattern=NO_NUL)],
) -> Response:
    """Promise a tree, and go to it."""
    return await record.run(service.promise(*record.scope, whom), place="trees")


@router.post("/garden/{number}/planted")
async def plant(site: CurrentSite, actor: CurrentActor, number: str) -> Response:
    """Plant the trees of an appeal, and go to them."""
    await service.plant(site.engine, actor, number)
    return RedirectResponse(f"/garden/{number}", SEE_OTHER)
