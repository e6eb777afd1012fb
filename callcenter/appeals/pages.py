"""Pages of the register: the list, and one appeal with its timeline and recordings."""

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from callcenter.appeals import store
from callcenter.appeals.number import parse
from callcenter.appeals.reading import PAGE, newest, view, wording_for
from callcenter.appeals.wording import HANG_UPS, NOT_CALLED
from callcenter.errors import AskedWrongly
from callcenter.storage.engine import unit_of_work
from callcenter.web.access import needs
from callcenter.web.permissions import Permission
from callcenter.web.rendering import page
from callcenter.web.site import CurrentSite, CurrentVisit, Site, Visit

TEMPLATES = Path(__file__).parent / "templates"

router = APIRouter(include_in_schema=False, dependencies=[needs(Permission.VIEW_APPEALS)])


@router.get("/appeals")
async def appeals(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    number: Annotated[str, Query(max_length=20)] = "",
    before: Annotated[str, Query(max_length=40)] = "",
) -> Response:
    """The newest first; a number that is typed leads straight to its appeal."""
    problem = None
    rows: list[store.AppealRow] = []
    older = None
    if number.strip():
        problem = await _look_up(site, number)
        if problem is None:
            return RedirectResponse(f"/appeals/{parse(number)}", 303)
    else:
        rows, older = await newest(site.engine, before or None, PAGE)
    return page(
        request,
        "appeals/appeals.html",
        say=wording_for(request, site, visit),
        rows=rows,
        older=older,
        first=not before,
        number=number.strip(),
        problem=problem,
    )


@router.get("/appeals/{number}")
async def appeal(request: Request, site: CurrentSite, visit: CurrentVisit, number: str) -> Response:
    """One appeal; that it was looked at is in the audit log before it is shown."""
    return await appeal_page(request, site, visit, number)


async def appeal_page(
    request: Request, site: Site, visit: Visit, number: str, refused: str | None = None
) -> Response:
    """The page of one appeal; `refused` says what could not be done about it."""
    viewed = await view(site.engine, visit, number, by="page")
    return page(
        request,
        "appeals/appeal.html",
        status=400 if refused else 200,
        say=wording_for(request, site, visit),
        row=viewed.row,
        refused=refused,
        events=viewed.events,
        recordings=viewed.recordings,
        audible=viewed.audible,
        calls_unwanted=viewed.calls_unwanted,
        agreed=viewed.agreed,
        hang_ups=HANG_UPS if viewed.reason_missing else {},
        not_called=NOT_CALLED if viewed.is_cut_off else {},
    )


async def _look_up(site: Site, number: str) -> str | None:
    """None when there is such an appeal, else what is wrong with the number."""
    try:
        digits = parse(number)
    except AskedWrongly:
        return "mistake"
    async with unit_of_work(site.engine) as connection:
        return None if await store.find(connection, digits) else "absent"
