"""The page of erasing: what was asked for and waits for another person, and what is due."""

from collections.abc import Awaitable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from callcenter.errors import N_, AskedWrongly
from callcenter.recordings import erasing, legal_hold
from callcenter.storage.engine import unit_of_work
from callcenter.web.access import needs
from callcenter.web.errors import NotFound
from callcenter.web.permissions import Permission
from callcenter.web.rendering import page
from callcenter.web.site import CurrentSite, CurrentVisit, Site

TEMPLATES = Path(__file__).parent / "templates"
SEE_OTHER = 303
SHOWN = 50  # recordings whose time is over; the next ones when these are decided on

HELD = N_("The recording is held, for a demand for instance, and is not erased meanwhile.")
GONE = N_("Somebody has decided on it meanwhile, or the recording is not there any more.")
REFUSED = N_("That cannot be: give a reason, and one person asks once and another decides.")

Text = Annotated[str, Form(max_length=erasing.LONGEST_TEXT, pattern=r"^[^\x00]*$")]

router = APIRouter(include_in_schema=False, dependencies=[needs(Permission.ERASE)])


@router.get("/erasures")
async def erasures(request: Request, site: CurrentSite) -> Response:
    """Requests that wait, the oldest first; then recordings whose time to be kept is over."""
    return await _list(request, site)


@router.post("/recordings/{recording_id}/erasure")
async def ask(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    recording_id: UUID,
    reason: Text = "",
    order: Text = "",
) -> Response:
    """Ask that a recording be erased."""
    asked = erasing.ask(site.engine, visit, recording_id, reason=reason, order=order)
    return await _done(request, site, asked)


@router.post("/recordings/{recording_id}/hold")
async def hold(site: CurrentSite, visit: CurrentVisit, recording_id: UUID, order: Text) -> Response:
    """Keep a recording from erasing, as an order says."""
    await legal_hold.keep(site.engine, visit, recording_id, order)
    return RedirectResponse(f"/recordings/{recording_id}", SEE_OTHER)


@router.post("/recordings/{recording_id}/hold/end")
async def end_hold(
    site: CurrentSite, visit: CurrentVisit, recording_id: UUID, order: Text, reason: Text
) -> Response:
    """Do not keep it for this order any more."""
    await legal_hold.let_go(site.engine, visit, recording_id, order, reason)
    return RedirectResponse(f"/recordings/{recording_id}", SEE_OTHER)


@router.post("/erasures/{erasure_id}/decision")
async def decide(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    erasure_id: UUID,
    approve: Annotated[bool, Form()] = False,
    reason: Text = "",
) -> Response:
    """Approve or refuse what another person asked for."""
    decided = erasing.decide(site.engine, visit, erasure_id, approve=approve, reason=reason)
    return await _done(request, site, decided)


async def _done(request: Request, site: Site, deed: Awaitable[object]) -> Response:
    """Do it, and show what waits then; or say beside the list why it was refused."""
    try:
        await deed
    except erasing.IsHeld:
        return await _list(request, site, HELD)
    except NotFound:
        return await _list(request, site, GONE)
    except AskedWrongly:
        return await _list(request, site, REFUSED)
    return RedirectResponse("/erasures", SEE_OTHER)


async def _list(request: Request, site: Site, problem: str | None = None) -> Response:
    async with unit_of_work(site.engine) as connection:
        waiting = await erasing.waiting(connection)
        due = await erasing.due(
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
