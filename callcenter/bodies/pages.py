"""Pages of the directory: the list, one body, entering and changing it, its contacts."""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Form, Query
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from callcenter.bodies import service
from callcenter.bodies.labels import FAULTS, BodyLabels
from callcenter.bodies.permissions import BodyPermission
from callcenter.bodies.queries import DirectoryView, view_directory
from callcenter.bodies.rules.directory import PUBLIC, Body, BodyKind, WrongBody
from callcenter.bodies.rules.directory_lines import (
    format_contacts,
    format_names,
    parse_contacts,
    parse_names,
)
from callcenter.platform.core.errors import InvalidRequest, VersionConflict
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import AppContext, CurrentActor, CurrentSite, language_of
from callcenter.platform.web.errors import status_of
from callcenter.platform.web.form_fields import NO_NUL
from callcenter.platform.web.page_actions import action
from callcenter.platform.web.templating import page

router = APIRouter(include_in_schema=False, dependencies=[requires(BodyPermission.VIEW_BODIES)])
verifying = APIRouter(
    include_in_schema=False, dependencies=[requires(BodyPermission.VERIFY_CONTACTS)]
)
editing = APIRouter(include_in_schema=False, dependencies=[requires(BodyPermission.EDIT_BODIES)])

Code = Annotated[str, Field(max_length=40, pattern=NO_NUL)]
Lines = Annotated[str, Field(max_length=20_000, pattern=NO_NUL)]


class BodySearchForm(BaseModel):
    """The list as it is narrowed down."""

    q: Annotated[str, Field(max_length=200)] = ""
    kind: BodyKind | Literal[""] = ""
    region: Code = ""
    unverified: bool = False

    def selects(self, body: Body, view: DirectoryView) -> bool:
        """Whether a body is on the list; with `unverified`, one in force with such a contact."""
        if self.unverified and not (
            body.is_in_force(view.today) and body.needs_verification(view.at)
        ):
            return False
        return self.kind in ("", body.kind) and self.region in ("", body.region)


class BodyForm(BaseModel):
    """A body as it is typed: names and contacts one a line."""

    version: Annotated[int, Field(ge=0)] = 0
    kind: BodyKind
    parent: Code = ""
    region: Code = ""
    district: Code = ""
    direction: list[Code] = []
    topic: list[Code] = []
    names: Lines
    contacts: Lines = ""
    working_hours: Annotated[str, Field(max_length=4000, pattern=NO_NUL)] = ""
    ended_on: date | Literal[""] = ""

    @classmethod
    def of_body(cls, body: Body) -> "BodyForm":
        """The form of a body as it is stored."""
        return cls(
            version=body.version,
            kind=body.kind,
            parent=body.parent or "",
            region=body.region,
            district=body.district,
            direction=list(body.directions),
            topic=list(body.topics),
            names=format_names(body.names),
            contacts=format_contacts(body.contacts),
            working_hours=body.working_hours,
            ended_on=body.ended_on or "",
        )

    def body(self, code: str) -> Body:
        """The body of this code. Raises WrongBody."""
        return Body(
            code=code,
            kind=self.kind,
            names=parse_names(self.names),
            parent=self.parent.strip() or None,
            region=self.region,
            district=self.district,
            directions=tuple(self.direction),
            topics=tuple(self.topic),
            contacts=parse_contacts(self.contacts),
            working_hours=self.working_hours,
            ended_on=self.ended_on or None,
            version=self.version,
        )


class NewBodyForm(BodyForm):
    """A body that is not in the directory yet."""

    code: Code = ""


@router.get("/bodies")
async def bodies(
    request: Request, site: CurrentSite, form: Annotated[BodySearchForm, Query()]
) -> Response:
    """The directory, narrowed down by words, kind, region, or to what is to be verified."""
    view = await view_directory(site.engine)
    found = [each for each in view.directory.find(form.q) if form.selects(each, view)]
    return page(
        request,
        "bodies/bodies.html",
        say=labels_for(request, site, view),
        view=view,
        found=found,
        search=form,
    )


@router.get("/bodies/{body_code}")
async def body(request: Request, site: CurrentSite, body_code: str) -> Response:
    """One body: names, place, competence and contacts."""
    return await _body(request, site, body_code)


@router.post("/bodies/{body_code}/contacts/{body_contact_id}/failure")
async def report_failure(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    body_code: str,
    body_contact_id: UUID,
    failure: Annotated[str, Form(max_length=1000, pattern=NO_NUL)] = "",
) -> Response:
    """Report that a contact does not work."""
    return await action(
        service.report_failure(site.engine, actor, body_code, body_contact_id, failure),
        f"/bodies/{body_code}",
        lambda refusal: _body(request, site, body_code, refusal),
    )


@verifying.post("/bodies/{body_code}/contacts/{body_contact_id}/verified")
async def verify(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    body_code: str,
    body_contact_id: UUID,
) -> Response:
    """Vouch for a contact."""
    return await action(
        service.verify_contact(site.engine, actor, body_code, body_contact_id),
        f"/bodies/{body_code}",
        lambda refusal: _body(request, site, body_code, refusal),
    )


@editing.get("/new-body")
async def new_form(request: Request, site: CurrentSite) -> Response:
    """The form of a new body."""
    return await _new(request, site)


@editing.post("/new-body")
async def new(
    request: Request, site: CurrentSite, actor: CurrentActor, form: Annotated[NewBodyForm, Form()]
) -> Response:
    """Enter a body, and go to it."""
    code = form.code.strip()

    async def call() -> None:
        await service.save_body(site.engine, actor, form.body(code))

    return await action(
        call(), f"/bodies/{code}", lambda refusal: _new(request, site, form, refusal), reraise=()
    )


@editing.post("/bodies/{body_code}")
async def change(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    body_code: str,
    form: Annotated[BodyForm, Form()],
) -> Response:
    """Change a body, or show what is wrong beside what was typed."""
    (await view_directory(site.engine)).body(body_code)

    async def call() -> None:
        await service.save_body(site.engine, actor, form.body(body_code))

    return await action(
        call(),
        f"/bodies/{body_code}",
        lambda refusal: _body(request, site, body_code, refusal, form),
    )


def labels_for(
    request: Request, site: AppContext, view: DirectoryView, language: str | None = None
) -> BodyLabels:
    """Labels of bodies in the language of the page, or in this one."""
    return BodyLabels(site.words[language or language_of(request)], view.form, view.today)


def fault_of(refusal: InvalidRequest | None) -> str | None:
    """The words for a refusal."""
    if isinstance(refusal, WrongBody):
        return FAULTS[refusal.fault]
    return None if refusal is None else str(refusal)


async def _body(
    request: Request,
    site: AppContext,
    code: str,
    refusal: InvalidRequest | None = None,
    typed: BodyForm | None = None,
) -> Response:
    view = await view_directory(site.engine)
    shown = view.body(code)
    return page(
        request,
        "bodies/body.html",
        status=200 if refusal is None else status_of(refusal),
        say=labels_for(request, site, view),
        view=view,
        shown=shown,
        children=view.directory.children(shown),
        public=PUBLIC,
        values=typed or BodyForm.of_body(shown),
        is_typed=typed is not None,
        fault=fault_of(refusal),
        is_changed_by_another=isinstance(refusal, VersionConflict),
    )


async def _new(
    request: Request,
    site: AppContext,
    typed: NewBodyForm | None = None,
    refusal: InvalidRequest | None = None,
) -> Response:
    view = await view_directory(site.engine)
    return page(
        request,
        "bodies/new_body.html",
        status=200 if refusal is None else status_of(refusal),
        say=labels_for(request, site, view),
        view=view,
        shown=None,
        values=typed or NewBodyForm(kind=BodyKind.DEPARTMENT, names=""),
        fault=fault_of(refusal),
    )
