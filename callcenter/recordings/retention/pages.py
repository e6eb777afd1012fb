"""The page of erasures: requests that wait for another person, and expired recordings."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import Response

from callcenter.platform.core.errors import N_, InvalidRequest, NotFound
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import AppContext, CurrentActor, CurrentSite
from callcenter.platform.web.form_fields import Decision
from callcenter.platform.web.page_actions import Refusals, action, words_for
from callcenter.platform.web.templating import page
from callcenter.recordings.permissions import RecordingPermission
from callcenter.recordings.retention import service, store

ERASURES = "/erasures"
SHOWN = 50  # recordings whose time is over; the next ones when these are decided on

#: Refusals in the words of the page; the first that fits counts.
REFUSALS: Refusals = (
    (service.OnLegalHold, N_("The recording is held and is not erased meanwhile.")),
    (
        NotFound,
        N_("Somebody has decided on it meanwhile, or the recording is not there any more."),
    ),
    (
        InvalidRequest,
        N_(
            "This is not possible: enter a reason. One person makes the request, once,"
            " and another decides."
        ),
    ),
)

router = APIRouter(include_in_schema=False, dependencies=[requires(RecordingPermission.ERASE)])


@router.get(ERASURES)
async def erasures(request: Request, site: CurrentSite) -> Response:
    """Requests that wait, the oldest first; then recordings past their retention time."""
    return await show_erasures(request, site)


@router.post("/erasures/{erasure_id}/decision")
async def decide(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    erasure_id: UUID,
    form: Annotated[Decision, Form()],
) -> Response:
    """Approve or refuse another person's request."""
    decided = service.decide_erasure(
        site.engine, actor, erasure_id, approve=form.approve, reason=form.reason
    )
    return await action(
        decided,
        ERASURES,
        lambda why: show_erasures(request, site, words_for(why, REFUSALS)),
        reraise=(),
    )


async def show_erasures(request: Request, site: AppContext, problem: str | None = None) -> Response:
    """The page of erasures; `problem` says why what was sent was refused."""
    async with unit_of_work(site.engine) as connection:
        waiting = await store.list_waiting(connection)
        due = await store.list_expired(
            connection, site.settings.retention_days, datetime.now(UTC), limit=SHOWN
        )
    return page(
        request,
        "recordings/erasures.html",
        status=400 if problem else 200,
        waiting=waiting,
        due=due,
        problem=problem,
    )
