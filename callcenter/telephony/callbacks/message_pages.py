"""Mark a message as heard and done, on the page of its appeal."""

from uuid import UUID

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from callcenter.appeals.web.appeal_view import appeal_page
from callcenter.platform.core.errors import N_
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentActor, CurrentSite
from callcenter.platform.web.page_actions import action
from callcenter.recordings.permissions import RecordingPermission
from callcenter.telephony.callbacks import service

NOT_HEARD = N_("The message is not done: play it first. Nobody else hears it once it is done.")

router = APIRouter(include_in_schema=False, dependencies=[requires(RecordingPermission.LISTEN)])


@router.post("/appeals/{number}/messages/{message_id}/done")
async def finish(
    request: Request, site: CurrentSite, actor: CurrentActor, number: str, message_id: UUID
) -> Response:
    """Mark a message as heard and done; who has not played it is told to."""
    return await action(
        service.finish_message(site.engine, actor, number, message_id),
        f"/appeals/{number}",
        lambda why: appeal_page(request, site, actor, number, problem=NOT_HEARD),
    )
