"""Page of callbacks and voicemail, and what is done with a message on its appeal's page."""

from datetime import UTC, datetime
from uuid import UUID

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from callcenter.appeals.calls.labels import LANGUAGES
from callcenter.appeals.web.appeal_view import appeal_page
from callcenter.consultants.permissions import ConsultantPermission
from callcenter.platform.core.caller_id import mask
from callcenter.platform.core.errors import N_, InvalidRequest
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import AppContext, CurrentActor, CurrentSite
from callcenter.platform.web.errors import status_of
from callcenter.platform.web.page_actions import DECIDED_MEANWHILE, action
from callcenter.platform.web.templating import page
from callcenter.recordings.permissions import RecordingPermission
from callcenter.telephony.callbacks import queries, service
from callcenter.telephony.callbacks.rules import CallbackKind, CallbackState

SHOWN = 100  # ended ones

STATES = {
    CallbackState.OPEN: N_("waits for the call"),
    CallbackState.REACHED: N_("called back, and talked"),
    CallbackState.DONE: N_("heard, and done"),
    CallbackState.EMPTY: N_("no speech"),
    CallbackState.SERVED: N_("rang again and talked"),
    CallbackState.REPLACED: N_("replaced by a later request"),
    CallbackState.DECLINED: N_("the call was declined"),
    CallbackState.UNREACHED: N_("not reached"),
    CallbackState.BLOCKED: N_("the number is blocked"),
    CallbackState.UNWANTED: N_("asked not to be called"),
    CallbackState.CLOSED: N_("closed by a supervisor"),
}

KINDS = {CallbackKind.CALLBACK: N_("callback"), CallbackKind.MESSAGE: N_("message")}

NOT_HEARD = N_("The message is not done: play it first. Nobody else hears it once it is done.")

router = APIRouter(include_in_schema=False, dependencies=[requires(ConsultantPermission.SUPERVISE)])
hearing = APIRouter(include_in_schema=False, dependencies=[requires(RecordingPermission.LISTEN)])


@router.get("/promises")
async def promises(request: Request, site: CurrentSite) -> Response:
    """Open callbacks and voicemail, the longest waiting first; then the newest ended ones."""
    return await _list(request, site)


@router.post("/promises/{promise_id}/close")
async def close(
    request: Request, site: CurrentSite, actor: CurrentActor, promise_id: UUID
) -> Response:
    """Close a callback or voicemail, or show the list as it is now."""
    return await action(
        service.close(site.engine, actor, promise_id),
        "/promises",
        lambda refusal: _list(request, site, refusal),
        reraise=(),
    )


@hearing.post("/appeals/{number}/messages/{message_id}/done")
async def finish_message(
    request: Request, site: CurrentSite, actor: CurrentActor, number: str, message_id: UUID
) -> Response:
    """Mark a message as heard and done; who has not played it is told to."""
    return await action(
        service.finish_message(site.engine, actor, number, message_id),
        f"/appeals/{number}",
        lambda _: appeal_page(request, site, actor, number, problem=NOT_HEARD),
    )


async def _list(
    request: Request, site: AppContext, refusal: InvalidRequest | None = None
) -> Response:
    async with unit_of_work(site.engine) as connection:
        waiting = await queries.list_open(connection)
        ended = await queries.list_ended(connection, limit=SHOWN)
    return page(
        request,
        "callbacks/callbacks.html",
        status=200 if refusal is None else status_of(refusal),
        problem=None if refusal is None else DECIDED_MEANWHILE,
        waiting=waiting,
        ended=ended,
        states=STATES,
        kinds=KINDS,
        names=LANGUAGES,
        mask=mask,
        now=datetime.now(UTC),
    )
