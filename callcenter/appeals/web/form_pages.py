"""Pages of the form, its options, and the terms of the law."""

from dataclasses import replace
from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Form
from pydantic import BaseModel
from pydantic import Field as Bound
from starlette.requests import Request
from starlette.responses import Response

from callcenter.appeals.form import service
from callcenter.appeals.labels import RecordLabels
from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.rules.deadlines import DeadlineKind, LegalTerm, TermUnit
from callcenter.appeals.rules.fields import AccessRule, Field, FieldType, Option, Section
from callcenter.platform.core.errors import N_, InvalidRequest
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import AppContext, CurrentActor, CurrentSite, language_of
from callcenter.platform.web.page_actions import action
from callcenter.platform.web.templating import page

OPTIONS_LENGTH_LIMIT = 100_000  # characters of all answers: districts have a fifth of it
SECTIONS = {Section.APPEAL: N_("The appeal"), Section.PERSON: N_("Each person")}
GUARDS = {
    AccessRule.OPEN: N_("Everyone who may see the appeal"),
    AccessRule.PERSONAL: N_("Who may see personal data"),
    AccessRule.SENSITIVE: N_("People who may see sensitive data; stored encrypted"),
}
TYPES = {
    FieldType.TEXT: N_("Text"),
    FieldType.LONG_TEXT: N_("Long text"),
    FieldType.CHOICE: N_("One answer"),
    FieldType.CHOICES: N_("Several answers"),
    FieldType.DATE: N_("Day"),
    FieldType.NUMBER: N_("Number"),
    FieldType.IDENTIFIER: N_("IIN or BIN"),
    FieldType.YES: N_("Yes or nothing"),
}
CLOCKS = {
    DeadlineKind.FORWARD: N_("To pass it on to the competent body"),
    DeadlineKind.DECIDE: N_("To answer"),
    DeadlineKind.COMPLAINT: N_("To answer a complaint"),
    DeadlineKind.EXTEND: N_("To extend an answer by, at most"),
    DeadlineKind.NOTICE: N_("Notice to the applicant of an extension"),
}
UNITS = {TermUnit.WORKING_DAYS: N_("working days"), TermUnit.MONTHS: N_("months")}

router = APIRouter(include_in_schema=False, dependencies=[requires(AppealPermission.EDIT_FORM)])

Name = Annotated[str, Bound(max_length=200)]


class FieldForm(BaseModel):
    """The changes of a question, its options one a line (`read_options`).

    One of risk has the codes of answers that propose urgency, with spaces between.
    """

    guard: AccessRule
    kk: Name
    ru: Name
    en: Name
    position: Annotated[int, Bound(ge=0, le=9999)]
    options: Annotated[str, Bound(max_length=OPTIONS_LENGTH_LIMIT)] = ""
    active: bool = False
    is_of_risk: bool = False
    proposing: Annotated[str, Bound(max_length=1000)] = ""
    verified: bool = False

    def change(self, field: Field) -> Field:
        """The next version of a question. Raises InvalidRequest that names the wrong line."""
        names = ("guard", "kk", "ru", "en", "position", "active")
        values: dict[str, Any] = {name: getattr(self, name) for name in names}
        if self.is_of_risk:
            values |= {"proposing": tuple(self.proposing.split()), "verified": self.verified}
        else:
            values |= {"proposing": None, "verified": True}
        return replace(field, options=read_options(self.options), **values)


class NewFieldForm(FieldForm):
    """A new question, which is active."""

    section: Section
    code: Annotated[str, Bound(max_length=40)]
    type: FieldType

    @property
    def field(self) -> Field:
        """The question. Raises InvalidRequest that names the wrong line."""
        new = Field(self.code, self.section, self.type, self.guard, self.kk, self.ru, self.en, 0)
        return replace(self.change(new), active=True)


class LegalTermForm(BaseModel):
    """A term of the law, from a day on."""

    clock: DeadlineKind
    length: Annotated[int, Bound(ge=1, le=365)]
    unit: TermUnit
    article: Annotated[str, Bound(max_length=100)]
    valid_from: date

    @property
    def term(self) -> LegalTerm:
        """The term that it enters."""
        return LegalTerm(self.clock, self.length, self.unit, self.article.strip(), self.valid_from)


@router.get("/form")
async def fields(request: Request, site: CurrentSite) -> Response:
    """Show all questions of the form, and the form of a new one."""
    return await _list(request, site)


@router.post("/form")
async def add(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    form: Annotated[NewFieldForm, Form()],
) -> Response:
    """Add a question; a refusal is shown beside the list."""

    async def call() -> None:
        await service.add_field(site.engine, actor, form.field)

    async def show(_: InvalidRequest) -> Response:
        return await _list(request, site, refused=True)

    return await action(call(), "/form", show, reraise=())


@router.get("/form/{section}/{code}")
async def field(request: Request, site: CurrentSite, section: Section, code: str) -> Response:
    """Show one question, to change its names, options, position and use."""
    return await _one(request, site, section, code)


@router.post("/form/{section}/{code}")
async def change(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    section: Section,
    code: str,
    form: Annotated[FieldForm, Form()],
) -> Response:
    """Store the next version of a question."""
    call = service.change_field(site.engine, actor, section, code, form.change)

    async def show(_: InvalidRequest) -> Response:
        return await _one(request, site, section, code, refused=True)

    return await action(call, "/form", show, reraise=())


@router.get("/terms")
async def terms(request: Request, site: CurrentSite) -> Response:
    """Show the terms of the law, with the days from which they hold."""
    return await _terms(request, site)


@router.post("/terms")
async def put_term(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    form: Annotated[LegalTermForm, Form()],
) -> Response:
    """Enter a term that holds from a day on, as when the law changes."""

    async def show(_: InvalidRequest) -> Response:
        return await _terms(request, site, refused=True)

    return await action(service.put_term(site.engine, actor, form.term), "/terms", show, reraise=())


def read_options(text: str) -> tuple[Option, ...]:
    """Parse options, one a line: code | Kazakh | Russian | English | part of | -.

    The last two may be missing. Raises InvalidRequest that names the line.
    """
    options = []
    for number, line in enumerate(text.splitlines(), start=1):
        parts = [part.strip() for part in line.split("|")]
        if parts == [""]:
            continue
        if not 4 <= len(parts) <= 6 or parts[5:] not in ([], [""], ["-"]):
            raise InvalidRequest(f"line {number}: code | Kazakh | Russian | English | part of | -")
        code, kk, ru, en = parts[:4]
        parent = parts[4] if len(parts) > 4 else ""
        options.append(Option(code, kk, ru, en, parent, active=parts[5:] != ["-"]))
    return tuple(options)


def format_options(options: tuple[Option, ...]) -> str:
    """Format options as `read_options` parses them."""
    return "\n".join(
        " | ".join(
            [each.code, each.kk, each.ru, each.en, each.parent, "" if each.active else "-"]
        ).rstrip(" |")
        for each in options
    )


async def _list(request: Request, site: AppContext, *, refused: bool = False) -> Response:
    form = await service.read_form(site.engine)
    return page(
        request,
        "appeals/form.html",
        status=400 if refused else 200,
        say=RecordLabels(site.words[language_of(request)], form),
        fields=form.fields,
        sections=SECTIONS,
        guards=GUARDS,
        types=TYPES,
        refused=refused,
    )


async def _one(
    request: Request, site: AppContext, section: Section, code: str, *, refused: bool = False
) -> Response:
    form = await service.read_form(site.engine)
    shown = service.find_field(form, section, code)
    return page(
        request,
        "appeals/field.html",
        status=400 if refused else 200,
        say=RecordLabels(site.words[language_of(request)], form),
        field=shown,
        options=format_options(shown.options),
        guards=GUARDS,
        refused=refused,
    )


async def _terms(request: Request, site: AppContext, *, refused: bool = False) -> Response:
    law = await service.read_law(site.engine)
    return page(
        request,
        "appeals/terms.html",
        status=400 if refused else 200,
        terms=law.terms,
        clocks=CLOCKS,
        units=UNITS,
        today=datetime.now(ZONE).date(),
        refused=refused,
    )
