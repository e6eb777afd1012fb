"""The page of masking: what waits for another person, the rules, and what a rule would mask."""

from collections.abc import Awaitable
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Form, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from callcenter.errors import N_, AskedWrongly
from callcenter.register import definitions, masking_deeds
from callcenter.register.masking import LEAST_DAYS, LONGEST_REASON, MOST_DAYS, Ended, IsKept
from callcenter.register.record_page import SEE_OTHER
from callcenter.register.wording import ENDED_KINDS, GOES, KEEPS, Telling
from callcenter.storage.engine import unit_of_work
from callcenter.web.access import needs
from callcenter.web.errors import NotFound
from callcenter.web.permissions import Permission
from callcenter.web.rendering import page
from callcenter.web.site import CurrentSite, CurrentVisit, Site, language_of

GONE = N_("Somebody has decided on it meanwhile: look at the list again.")
REFUSED = N_(
    "That cannot be: give a reason and days, and one person asks once and another decides."
)

Reason = Annotated[str, Form(max_length=LONGEST_REASON, pattern=r"^[^\x00]*$")]
Days = Annotated[int, Form(ge=1, le=MOST_DAYS)]

router = APIRouter(include_in_schema=False, dependencies=[needs(Permission.MASK)])


@router.get("/masking")
async def masking(
    request: Request,
    site: CurrentSite,
    kind: Ended | Literal[""] = "",
    days: Annotated[int | None, Query(ge=1, le=MOST_DAYS)] = None,
) -> Response:
    """What waits, the rules, and what a rule of this kind and length would mask now."""
    return await _show(request, site, kind=kind or None, days=days)


@router.post("/masking")
async def ask_for_rule(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    kind: Annotated[Ended, Form()],
    days: Days,
    reason: Reason = "",
) -> Response:
    """Ask for a rule."""
    return await _done(request, site, masking_deeds.ask_for_rule(site, visit, kind, days, reason))


@router.post("/appeals/{number}/record/mask")
async def ask(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    number: str,
    also: Annotated[list[str] | None, Form()] = None,
    reason: Reason = "",
) -> Response:
    """Ask that the personal data of an appeal be masked, and of others of the same person."""
    asked = masking_deeds.ask(site, visit, [number, *(also or [])], reason)
    return await _done(request, site, asked)


@router.post("/masking/{masking_id}/decision")
async def decide(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    masking_id: UUID,
    approve: Annotated[bool, Form()] = False,
    reason: Reason = "",
) -> Response:
    """Approve or refuse what another person asked for."""
    decided = masking_deeds.decide(site, visit, masking_id, approve=approve, reason=reason)
    return await _done(request, site, decided)


@router.post("/masking/{masking_id}/end")
async def end(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    masking_id: UUID,
    reason: Reason = "",
) -> Response:
    """Let a rule end."""
    return await _done(request, site, masking_deeds.end_rule(site, visit, masking_id, reason))


async def _done(request: Request, site: Site, deed: Awaitable[object]) -> Response:
    """Do it, and show what waits then; or say beside the list why it was refused."""
    try:
        await deed
    except IsKept as exc:
        return await _show(request, site, KEEPS[exc.why[0]])
    except NotFound:
        return await _show(request, site, GONE)
    except AskedWrongly:
        return await _show(request, site, REFUSED)
    return RedirectResponse("/masking", SEE_OTHER)


async def _show(
    request: Request,
    site: Site,
    problem: str | None = None,
    *,
    kind: Ended | None = None,
    days: int | None = None,
) -> Response:
    async with unit_of_work(site.engine) as connection:
        waiting = await masking_deeds.waiting(connection)
        waits = [(each, await masking_deeds.preview(site, connection, each)) for each in waiting]
        rules = await masking_deeds.rules(connection)
        tried = await masking_deeds.preview_rule(connection, kind, days) if kind and days else None
        form = await definitions.form(connection)
    return page(
        request,
        "register/masking.html",
        status=400 if problem else 200,
        waits=waits,
        rules=rules,
        tried=tried,
        kind=kind,
        days=days,
        least=LEAST_DAYS,
        most=MOST_DAYS,
        kinds=ENDED_KINDS,
        keeps=KEEPS,
        goes=GOES,
        say=Telling(site.words[language_of(request)], form),
        problem=problem,
    )
