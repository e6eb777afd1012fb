"""Pages where the center edits its form, its topics, and the terms of the law."""

from dataclasses import replace
from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from callcenter.errors import N_, AskedWrongly
from callcenter.register import editing
from callcenter.register.fields import Field, Guard, Option, Section, Type
from callcenter.register.terms import Clock, Term, Unit
from callcenter.register.wording import Telling
from callcenter.web.access import needs
from callcenter.web.permissions import Permission
from callcenter.web.rendering import page
from callcenter.web.site import CurrentSite, CurrentVisit, Site, language_of
from callcenter.web.words import ZONE

SEE_OTHER = 303
LONGEST = 100_000  # characters of all answers: districts have a fifth of it
SECTIONS = {Section.APPEAL: N_("The appeal"), Section.PERSON: N_("Each person")}
GUARDS = {
    Guard.OPEN: N_("Whoever sees the appeal"),
    Guard.PERSONAL: N_("Who may see personal data"),
    Guard.SENSITIVE: N_("Who may see sensitive data; kept encrypted"),
}
TYPES = {
    Type.TEXT: N_("Text"),
    Type.LONG_TEXT: N_("Long text"),
    Type.CHOICE: N_("One answer"),
    Type.CHOICES: N_("Several answers"),
    Type.DATE: N_("Day"),
    Type.NUMBER: N_("Number"),
    Type.IDENTIFIER: N_("IIN or BIN"),
    Type.YES: N_("Yes or nothing"),
}
CLOCKS = {
    Clock.FORWARD: N_("To pass it on to the competent body"),
    Clock.DECIDE: N_("To answer"),
    Clock.COMPLAINT: N_("To answer a complaint"),
    Clock.EXTEND: N_("To extend an answer by, at most"),
    Clock.NOTICE: N_("To tell the applicant of an extension"),
}
UNITS = {Unit.WORKING_DAYS: N_("working days"), Unit.MONTHS: N_("months")}

router = APIRouter(include_in_schema=False, dependencies=[needs(Permission.EDIT_FORM)])

Name = Annotated[str, Form(max_length=200)]


@router.get("/form")
async def fields(request: Request, site: CurrentSite) -> Response:
    """All questions of the form, and a new one."""
    return await _list(request, site)


@router.post("/form")
async def add(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    section: Annotated[Section, Form()],
    code: Annotated[str, Form(max_length=40)],
    type: Annotated[Type, Form()],  # noqa: A002 - the name of the field in the form
    guard: Annotated[Guard, Form()],
    kk: Name,
    ru: Name,
    en: Name,
    position: Annotated[int, Form(ge=0, le=9999)],
    options: Annotated[str, Form(max_length=LONGEST)] = "",
) -> Response:
    """Add a question; what cannot be one is said."""
    try:
        field = Field(
            code, section, type, guard, kk, ru, en, position, options=read_options(options)
        )
        await editing.add_field(site, visit, field)
    except AskedWrongly:
        return await _list(request, site, refused=True)
    return RedirectResponse("/form", SEE_OTHER)


@router.get("/form/{section}/{code}")
async def field(request: Request, site: CurrentSite, section: Section, code: str) -> Response:
    """One question, to change its names, answers, place and use."""
    return await _one(request, site, section, code)


@router.post("/form/{section}/{code}")
async def change(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    section: Section,
    code: str,
    kk: Name,
    ru: Name,
    en: Name,
    position: Annotated[int, Form(ge=0, le=9999)],
    guard: Annotated[Guard, Form()],
    options: Annotated[str, Form(max_length=LONGEST)] = "",
    active: Annotated[bool, Form()] = False,
) -> Response:
    """Keep the next version of a question."""

    def changed(old: Field) -> Field:
        return replace(
            old,
            kk=kk,
            ru=ru,
            en=en,
            position=position,
            guard=guard,
            active=active,
            options=read_options(options),
        )

    try:
        await editing.change_field(site, visit, section, code, changed)
    except AskedWrongly:
        return await _one(request, site, section, code, refused=True)
    return RedirectResponse("/form", SEE_OTHER)


@router.get("/terms")
async def terms(request: Request, site: CurrentSite) -> Response:
    """The terms of the law, with the days from which they hold."""
    return await _terms(request, site)


@router.post("/terms")
async def put_term(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    clock: Annotated[Clock, Form()],
    length: Annotated[int, Form(ge=1, le=365)],
    unit: Annotated[Unit, Form()],
    article: Annotated[str, Form(max_length=100)],
    valid_from: Annotated[date, Form()],
) -> Response:
    """A term from a day on, as when the law changes."""
    term = Term(clock, length, unit, article.strip(), valid_from)
    try:
        await editing.put_term(site, visit, term)
    except AskedWrongly:
        return await _terms(request, site, refused=True)
    return RedirectResponse("/terms", SEE_OTHER)


def read_options(text: str) -> tuple[Option, ...]:
    """Answers as they are typed, one a line: code | Kazakh | Russian | English | part of | -.

    The last two may be missing. Raises AskedWrongly that names the line.
    """
    options = []
    for number, line in enumerate(text.splitlines(), start=1):
        parts = [part.strip() for part in line.split("|")]
        if parts == [""]:
            continue
        if not 4 <= len(parts) <= 6 or parts[5:] not in ([], [""], ["-"]):
            raise AskedWrongly(f"line {number}: code | Kazakh | Russian | English | part of | -")
        code, kk, ru, en = parts[:4]
        parent = parts[4] if len(parts) > 4 else ""
        options.append(Option(code, kk, ru, en, parent, active=parts[5:] != ["-"]))
    return tuple(options)


def written_options(options: tuple[Option, ...]) -> str:
    """As `read_options` reads them."""
    return "\n".join(
        " | ".join(
            [each.code, each.kk, each.ru, each.en, each.parent, "" if each.active else "-"]
        ).rstrip(" |")
        for each in options
    )


async def _list(request: Request, site: Site, *, refused: bool = False) -> Response:
    form = await editing.form(site)
    return page(
        request,
        "register/form.html",
        status=400 if refused else 200,
        say=Telling(site.words[language_of(request)], form),
        fields=form.fields,
        sections=SECTIONS,
        guards=GUARDS,
        types=TYPES,
        refused=refused,
    )


async def _one(
    request: Request, site: Site, section: Section, code: str, *, refused: bool = False
) -> Response:
    form = await editing.form(site)
    shown = editing.field_of(form, section, code)
    return page(
        request,
        "register/field.html",
        status=400 if refused else 200,
        say=Telling(site.words[language_of(request)], form),
        field=shown,
        options=written_options(shown.options),
        guards=GUARDS,
        refused=refused,
    )


async def _terms(request: Request, site: Site, *, refused: bool = False) -> Response:
    law = await editing.law(site)
    return page(
        request,
        "register/terms.html",
        status=400 if refused else 200,
        terms=law.terms,
        clocks=CLOCKS,
        units=UNITS,
        today=datetime.now(ZONE).date(),
        refused=refused,
    )
