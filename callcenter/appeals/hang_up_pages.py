"""Why consultants ended conversations: the page of those without a reason, and giving one."""

from typing import Annotated

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from callcenter.appeals.hang_up_api import give_reason, waiting_for_reasons
from callcenter.appeals.hang_ups import Reason
from callcenter.web.access import needs
from callcenter.web.permissions import Permission
from callcenter.web.rendering import page
from callcenter.web.site import CurrentSite, CurrentVisit

SEE_OTHER = 303

router = APIRouter(include_in_schema=False)


@router.get("/hang-ups", dependencies=[needs(Permission.SUPERVISE)])
async def hang_ups(request: Request, site: CurrentSite) -> Response:
    """Conversations of the last day that consultants ended without having said why."""
    return page(request, "appeals/hang_ups.html", waiting=await waiting_for_reasons(site))


@router.post("/appeals/{number}/hang-up-reason", dependencies=[needs(Permission.OWN_DUTY)])
async def give(
    site: CurrentSite, visit: CurrentVisit, number: str, reason: Annotated[Reason, Form()]
) -> Response:
    """Say why you ended the conversation of this appeal, from its page."""
    await give_reason(site, visit, number, reason)
    return RedirectResponse(f"/appeals/{number}", SEE_OTHER)
