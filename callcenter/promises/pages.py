"""The page of callbacks and messages: who is owed what, since when, and what became of others."""

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from callcenter.appeals.callers import mask
from callcenter.appeals.wording import LANGUAGES
from callcenter.errors import N_
from callcenter.promises import closing, shown
from callcenter.promises.states import Kind, State
from callcenter.storage.engine import unit_of_work
from callcenter.web.access import needs
from callcenter.web.permissions import Permission
from callcenter.web.rendering import page
from callcenter.web.site import CurrentSite, CurrentVisit

TEMPLATES = Path(__file__).parent / "templates"
SHOWN = 100  # promises that have ended
SEE_OTHER = 303

STATES = {
    State.OPEN: N_("waits for the call"),
    State.KEPT: N_("called back, and talked"),
    State.DONE: N_("heard, and done"),
    State.EMPTY: N_("nothing was said"),
    State.SERVED: N_("rang again and talked"),
    State.REPLACED: N_("asked again later"),
    State.DECLINED: N_("the call was declined"),
    State.UNREACHED: N_("not reached"),
    State.BLOCKED: N_("the number is blocked"),
    State.CLOSED: N_("closed by a supervisor"),
}

KINDS = {Kind.CALLBACK: N_("callback"), Kind.MESSAGE: N_("message")}

router = APIRouter(include_in_schema=False, dependencies=[needs(Permission.SUPERVISE)])


@router.get("/promises")
async def promises(request: Request, site: CurrentSite) -> Response:
    """Who is to be called back or heard, the longest waiting first; then the newest ended."""
    async with unit_of_work(site.engine) as connection:
        waiting = await shown.open_ones(connection)
        ended = await shown.newest_ended(connection, limit=SHOWN)
    return page(
        request,
        "promises/promises.html",
        waiting=waiting,
        ended=ended,
        states=STATES,
        kinds=KINDS,
        names=LANGUAGES,
        mask=mask,
        now=datetime.now(UTC),
    )


@router.post("/promises/{promise_id}/close")
async def close(site: CurrentSite, visit: CurrentVisit, promise_id: UUID) -> Response:
    """Have nobody called back, and the message heard by nobody more."""
    await closing.close(site.engine, visit, promise_id)
    return RedirectResponse("/promises", SEE_OTHER)
