"""What the page of an appeal asks for: to ring its caller back, or never to."""

from typing import Annotated

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from callcenter.appeals.pages import appeal_page
from callcenter.dialling import asking
from callcenter.errors import N_, AskedWrongly
from callcenter.web.access import needs
from callcenter.web.permissions import Permission
from callcenter.web.site import CurrentSite, CurrentVisit

SEE_OTHER = 303
NOT_MADE = N_(
    "There is no call: you must be at work and free, with your telephone connected; and the caller"
    " may not be on the line, nor be called too often within an hour."
)

router = APIRouter(include_in_schema=False, dependencies=[needs(Permission.CALL_OUT)])


@router.post("/appeals/{number}/ring-back")
async def ring_back(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    number: str,
    despite_wish: Annotated[bool, Form()] = False,
) -> Response:
    """Ring the consultant, then the caller of the appeal; why there is no call is said there."""
    try:
        await asking.call(site, visit, number=None, appeal=number, despite_wish=despite_wish)
    except AskedWrongly:
        return await appeal_page(request, site, visit, number, NOT_MADE)
    return RedirectResponse(f"/appeals/{number}", SEE_OTHER)


@router.post("/appeals/{number}/no-calls")
async def want_no_calls(
    site: CurrentSite, visit: CurrentVisit, number: str, unwanted: Annotated[bool, Form()] = False
) -> Response:
    """Note whether the caller asked not to be called."""
    await asking.want_no_calls(site, visit, number, unwanted=unwanted)
    return RedirectResponse(f"/appeals/{number}", SEE_OTHER)
