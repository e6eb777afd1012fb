"""Pages of an appeal's record: the form, its steps, its receipt, and a new appeal by hand."""

from collections.abc import Awaitable
from datetime import date, datetime
from pathlib import Path
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Form
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from callcenter.errors import AskedWrongly
from callcenter.register import editing, handling, opening, reading, reminders, similar
from callcenter.register.api import receipt_file
from callcenter.register.fields import Value, WrongContent
from callcenter.register.merging import Changed
from callcenter.register.opening import Channel
from callcenter.register.record_page import SEE_OTHER, Place, record_page
from callcenter.register.stages import IllegalMove, Kind, Missing, Stage
from callcenter.register.wording import (
    CHANNELS,
    STAGES,
)
from callcenter.web.access import needs
from callcenter.web.errors import NotFound
from callcenter.web.permissions import Permission
from callcenter.web.rendering import page
from callcenter.web.site import CurrentSite, CurrentVisit, Site, Visit
from callcenter.web.words import ZONE

TEMPLATES = Path(__file__).parent / "templates"
ENTERED = "f."  # how the names of a form's fields begin that are the record's content

router = APIRouter(include_in_schema=False, dependencies=[needs(Permission.EDIT_APPEALS)])
extending = APIRouter(include_in_schema=False, dependencies=[needs(Permission.EXTEND_TERMS)])


async def entered(request: Request) -> dict[str, Value]:
    """What was typed into the fields of the form, as it is."""
    content: dict[str, Value] = {}
    form = await request.form()
    for name in form:
        if name.startswith(ENTERED):
            # A box that is not ticked sends nothing, so an empty value goes before each.
            values = [value for value in form.getlist(name) if value and isinstance(value, str)]
            content[name.removeprefix(ENTERED)] = values if len(values) > 1 else "".join(values)
    return content


Entered = Annotated[dict[str, Value], Depends(entered)]
Version = Annotated[int, Form(ge=0)]
Reason = Annotated[str, Form(max_length=2000)]


@router.get("/appeals/{number}/record")
async def record(request: Request, site: CurrentSite, visit: CurrentVisit, number: str) -> Response:
    """The form as it was saved, or as this person left it unsaved."""
    opened = await reading.read(site, visit, number)
    return record_page(request, site, opened)


@router.post("/appeals/{number}/record")
async def save(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    number: str,
    version: Version,
    content: Entered,
    kind: Annotated[Kind | None, Form()] = None,
) -> Response:
    """Save; what was typed wrongly, or changed by somebody else, is said on the form."""
    meant = (await editing.form(site)).meant(content)
    try:
        await handling.save(site, visit, number, version, kind, meant)
    except (WrongContent, Changed) as refusal:
        opened = await reading.read(site, visit, number)
        return record_page(request, site, opened, typed=content, kind=kind, refusal=refusal)
    return _back(number)


@router.post("/appeals/{number}/record/draft")
async def draft(
    site: CurrentSite, visit: CurrentVisit, number: str, version: Version, content: Entered
) -> JSONResponse:
    """Keep what is being typed; the page sends it every few seconds."""
    kept = await handling.keep_draft(site, visit, number, version, content)
    return JSONResponse({"kept": f"{kept.astimezone(ZONE):%H:%M:%S}"})


@router.post("/appeals/{number}/record/draft/discard")
async def discard_draft(site: CurrentSite, visit: CurrentVisit, number: str) -> Response:
    """Let go what was typed and not saved."""
    await handling.discard_draft(site, visit, number)
    return _back(number)


@router.post("/appeals/{number}/record/similar")
async def alike(
    request: Request, site: CurrentSite, visit: CurrentVisit, number: str, content: Entered
) -> Response:
    """A piece of the page: what is known already of what is being typed."""
    known = await similar.similar(site, visit, number, content)
    return page(request, "register/similar.html", found=known, stages=STAGES)


@router.post("/appeals/{number}/record/move")
async def move(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    number: str,
    version: Version,
    after: Annotated[Stage, Form()],
    reason: Reason = "",
) -> Response:
    """Take the appeal to another stage; what it lacks for that is said."""
    deed = handling.move(site, visit, number, version, after, reason)
    return await _done(request, site, visit, number, deed)


@router.post("/appeals/{number}/record/no-request")
async def no_request(site: CurrentSite, visit: CurrentVisit, number: str) -> Response:
    """Silence, a prank, a wrong number: closed in one step."""
    await handling.close_without_request(site, visit, number)
    return RedirectResponse("/appeals", SEE_OTHER)


@extending.post("/appeals/{number}/record/extend")
async def extend(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    number: str,
    version: Version,
    until: Annotated[date, Form()],
    reason: Reason = "",
) -> Response:
    """Put the term off."""
    deed = handling.extend(site, visit, number, version, until, reason)
    return await _done(request, site, visit, number, deed)


@router.post("/appeals/{number}/record/notice")
async def notice(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    number: str,
    version: Version,
    reason: Reason = "",
) -> Response:
    """The applicant was told that the term was put off."""
    deed = handling.tell_of_extension(site, visit, number, version, reason)
    return await _done(request, site, visit, number, deed)


@router.post("/appeals/{number}/record/danger")
async def danger(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    number: str,
    version: Version,
    reason: Reason = "",
) -> Response:
    """Who can help at once has been told."""
    deed = handling.pass_danger_on(site, visit, number, version, reason)
    return await _done(request, site, visit, number, deed)


@router.post("/appeals/{number}/record/remind")
async def remind(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    number: str,
    at: Annotated[datetime, Form()],
    about: Reason = "",
) -> Response:
    """Remind this person of the appeal."""
    deed = reminders.remind(site, visit, number, at.replace(tzinfo=at.tzinfo or ZONE), about)
    return await _done(request, site, visit, number, deed, place="reminders")


@router.post("/appeals/{number}/reminders/{reminder_id}/done")
async def reminded(
    site: CurrentSite, visit: CurrentVisit, number: str, reminder_id: UUID
) -> Response:
    """What it reminded of is done."""
    await reminders.done(site, visit, number, reminder_id)
    return _back(number)


@router.post("/appeals/{number}/record/split")
async def split(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    number: str,
    version: Version,
    key: Annotated[list[str], Form()],
) -> Response:
    """Make a part of it an appeal of its own."""
    deed = opening.split(site, visit, number, version, key)
    return await _done(request, site, visit, number, deed)


@router.post("/appeals/{number}/record/join")
async def join(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    number: str,
    version: Version,
    into: Annotated[str, Form(max_length=20)],
    reason: Reason = "",
) -> Response:
    """Let it go on within another appeal; a number of none is said beside it."""
    deed = opening.join(site, visit, number, version, into, reason)
    return await _done(request, site, visit, number, deed, then=into, place="join")


@router.get("/appeals/{number}/receipt")
async def receipt(
    request: Request, site: CurrentSite, visit: CurrentVisit, number: str
) -> Response:
    """The receipt, to be printed or read out, in the applicant's language."""
    given = await reading.receipt(site, visit, number)
    # All of the page is in the applicant's language: it may be turned towards them.
    words = site.words[given.language]
    return page(request, "register/receipt.html", receipt=given, words=words)


@router.get("/appeals/{number}/receipt.pdf")
async def receipt_pdf(site: CurrentSite, visit: CurrentVisit, number: str) -> Response:
    """The receipt as PDF, to be printed or sent."""
    return await receipt_file(await reading.receipt(site, visit, number))


@router.get("/new-appeal")
async def new_form(request: Request) -> Response:
    """The form of an appeal that came otherwise than by telephone."""
    return _new(request)


@router.post("/new-appeal")
async def new(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    channel: Annotated[Channel, Form()],
    language: Annotated[str, Form(max_length=2)],
    received_at: Annotated[datetime, Form()],
    phone: Annotated[str, Form(max_length=40)] = "",
) -> Response:
    """Open it, and go on with its record."""
    try:
        number = await opening.open_by_hand(
            site,
            visit,
            channel=channel,
            language=language,
            received_at=received_at.replace(tzinfo=received_at.tzinfo or ZONE),
            phone=phone,
        )
    except AskedWrongly as refusal:
        return _new(request, refusal)
    return _back(number)


def _new(request: Request, refusal: AskedWrongly | None = None) -> Response:
    return page(
        request,
        "register/new.html",
        status=200 if refusal is None else 400,
        channels={each: CHANNELS[each.value] for each in Channel},
        now=datetime.now(ZONE),
        refusal=None if refusal is None else str(refusal),
    )


def _back(number: str) -> RedirectResponse:
    return RedirectResponse(f"/appeals/{number}/record", SEE_OTHER)


async def _done(
    request: Request,
    site: Site,
    visit: Visit,
    number: str,
    deed: Awaitable[object],
    *,
    then: str = "",
    place: Place = "record",
) -> Response:
    """Do it and go to the record, or to `then`, or to the appeal whose number the deed returns.

    Why it is refused is said at that place of the record.
    """
    try:
        made = await deed
    except (Changed, Missing) as refusal:
        opened = await reading.read(site, visit, number)
        return record_page(request, site, opened, refusal=refusal)
    except AskedWrongly as refusal:
        # A number that is typed may be that of no appeal; any other is that of the page.
        if isinstance(refusal, NotFound | IllegalMove) and place != "join":
            raise
        opened = await reading.read(site, visit, number)
        return record_page(request, site, opened, refusal=refusal, place=place)
    return _back(made if isinstance(made, str) else then or number)
