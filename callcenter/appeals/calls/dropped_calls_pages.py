"""Page action about a dropped call: the decision not to call back."""

from typing import Annotated

from fastapi import APIRouter, Form
from starlette.responses import RedirectResponse, Response

from callcenter.appeals.calls import service
from callcenter.appeals.calls.dropped_calls import NoCallbackReason
from callcenter.appeals.permissions import AppealPermission
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentActor, CurrentSite
from callcenter.platform.web.page_actions import SEE_OTHER

router = APIRouter(include_in_schema=False, dependencies=[requires(AppealPermission.EDIT_APPEALS)])


@router.post("/appeals/{number}/not-called-back")
async def decline_callback(
    site: CurrentSite, actor: CurrentActor, number: str, reason: Annotated[NoCallbackReason, Form()]
) -> Response:
    """Decide not to call back, from the page of the appeal."""
    await service.decline_callback(site.engine, actor, number, reason)
    return RedirectResponse(f"/appeals/{number}", SEE_OTHER)
