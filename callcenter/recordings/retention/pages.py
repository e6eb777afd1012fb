"""The page of erasures: requests that wait for another person, and expired recordings."""

from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from callcenter.platform.core.errors import N_, InvalidRequest, NotFound
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import AppContext, CurrentActor, CurrentSite
from callcenter.platform.web.form_fields import NO_NUL, Decision, Reason
from callcenter.platform.web.page_actions import SEE_OTHER, Refusals, action, words_for
from callcenter.platform.web.templating import page
from callcenter.recordings.permissions import RecordingPermission
from callcenter.recordings.retention import service, store

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

Order = Annotated[str, Form(max_length=service.ORDER_LIMIT, pattern=NO_NUL)]

router = APIRouter(include_in_schema=False, dependencies=[requires(RecordingPermission.ERASE)])


@router.get("/erasures")
async def erasures(request: Request, site: CurrentSite) -> Response:
    """Requests that wait, the oldest first; then recordings past their retention time."""
    return await _list(request, site)


@router.post("/recordings/{recording_id}/erasure")
async def ask(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    recording_id: UUID,
    reason: Reason = "",
    order: Order = "",
) -> Response:
    """Request the erasure of a recording."""
    requested = service.request_erasure(
        site.engine, actor, recording_id, reason=reason, order=order
    )
    return await _step(request, site, requested)


@router.post("/recordings/{recording_id}/hold")
async def hold(
    site: CurrentSite, actor: CurrentActor, recording_id: UUID, order: Order
) -> Response:
    """Hold a recording for a legal order."""
    await service.hold(site.engine, actor, recording_id, order)
    return RedirectResponse(f"/recordings/{recording_id}", SEE_OTHER)


@router.post("/recordings/{recording_id}/hold/end")
async def end_hold(
    site: CurrentSite, actor: CurrentActor, recording_id: UUID, order: Order, reason: Reason
) -> Response:
    """End the hold of a recording for an order."""
    await service.release(site.engine, actor, recording_id, order, reason)
    return RedirectResponse(f"/recordings/{recording_id}", SEE_OTHER)


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
    return await _step(request, site, decided)


async def _step(request: Request, site: AppContext, call: Awaitable[object]) -> Response:
    """Carry out the step and redirect to the list, or show the list with the refusal."""
    return await action(
        call, "/erasures", lambda why: _list(request, site, words_for(why, REFUSALS)), reraise=()
    )


async def _list(request: Request, site: AppContext, problem: str | None = None) -> Response:
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
