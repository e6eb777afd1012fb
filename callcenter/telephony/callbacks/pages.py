"""Page of callbacks and voicemail: open and ended ones, and closing them."""

from datetime import UTC, datetime
from uuid import UUID

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from callcenter.appeals.calls.labels import LANGUAGES
from callcenter.consultants.permissions import ConsultantPermission
from callcenter.platform.core.caller_id import mask
from callcenter.platform.core.errors import N_
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentActor, CurrentSite
from callcenter.platform.web.page_actions import SEE_OTHER
from callcenter.platform.web.templating import page
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

router = APIRouter(include_in_schema=False, dependencies=[requires(ConsultantPermission.SUPERVISE)])


@router.get("/promises")
async def promises(request: Request, site: CurrentSite) -> Response:
    """Open callbacks and voicemail, the longest waiting first; then the newest ended ones."""
    async with unit_of_work(site.engine) as connection:
        waiting = await queries.list_open(connection)
        ended = await queries.list_ended(connection, limit=SHOWN)
    return page(
        request,
        "callbacks/callbacks.html",
        waiting=waiting,
        ended=ended,
        states=STATES,
        kinds=KINDS,
        names=LANGUAGES,
        mask=mask,
        now=datetime.now(UTC),
    )


@router.post("/promises/{promise_id}/close")
async def close(site: CurrentSite, actor: CurrentActor, promise_id: UUID) -> Response:
    """Close a callback or voicemail."""
    await service.close(site.engine, actor, promise_id)
    return RedirectResponse("/promises", SEE_OTHER)
