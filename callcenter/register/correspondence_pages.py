"""Letters and requests of an appeal, entered and put right on its record's page."""

from collections.abc import Awaitable
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form
from pydantic import Field
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from callcenter.errors import AskedWrongly
from callcenter.register import correspondence, reading
from callcenter.register.correspondence_api import Written
from callcenter.register.record_page import SEE_OTHER, record_page
from callcenter.web.access import needs
from callcenter.web.errors import NotFound
from callcenter.web.permissions import Permission
from callcenter.web.site import CurrentSite, CurrentVisit, Site, Visit

router = APIRouter(include_in_schema=False, dependencies=[needs(Permission.SEE_PERSONAL)])


class Corrected(Written):
    """A letter as it is to be, and the version that it is made from."""

    version: Annotated[int, Field(ge=1, lt=2**31)]


@router.post("/appeals/{number}/letters")
async def add(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    number: str,
    written: Annotated[Written, Form()],
) -> Response:
    """Enter a letter."""
    deed = correspondence.add(site, visit, number, written.letter)
    return await _done(request, site, visit, number, deed)


@router.post("/appeals/{number}/letters/{letter_id}")
async def change(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    number: str,
    letter_id: UUID,
    corrected: Annotated[Corrected, Form()],
) -> Response:
    """Put a letter right."""
    version, letter = corrected.version, corrected.letter
    deed = correspondence.change(site, visit, number, letter_id, version, letter)
    return await _done(request, site, visit, number, deed)


async def _done(
    request: Request, site: Site, visit: Visit, number: str, deed: Awaitable[object]
) -> Response:
    """Do it and go to the letters; why it is refused is said there."""
    try:
        await deed
    except NotFound:
        raise
    except AskedWrongly as refusal:
        read = await reading.read(site, visit, number)
        return record_page(request, site, read, refusal=refusal, place="letters")
    return RedirectResponse(f"/appeals/{number}/record#letters", SEE_OTHER)
