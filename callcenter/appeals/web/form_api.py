"""JSON API of the form and of the law's terms, below /api/v1."""

from dataclasses import replace
from datetime import date
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from callcenter.appeals.form import service
from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.rules import fields
from callcenter.appeals.rules.deadlines import DeadlineKind, LegalTerm, TermUnit
from callcenter.appeals.rules.fields import AccessRule, FieldType, Section
from callcenter.appeals.web.record_api import Seen
from callcenter.platform.identity.permissions import SessionPermission
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentActor, CurrentSite
from callcenter.platform.web.form_fields import NO_NUL
from callcenter.platform.web.idempotency import CurrentOnce

router = APIRouter(tags=["form"])

Name = Annotated[str, Field(max_length=200)]


class Option(BaseModel):
    """An option of a choice. Codes stay when names change."""

    model_config = ConfigDict(from_attributes=True)

    code: Annotated[str, Field(max_length=40)]
    kk: Name
    ru: Name
    en: Name
    parent: Annotated[str, Field(max_length=40, description="the answer that it is a part of")] = ""
    active: bool = True


class StoredField(BaseModel):
    """The part of a field that may change."""

    guard: AccessRule
    kk: Name
    ru: Name
    en: Name
    position: Annotated[int, Field(ge=0, le=9999)]
    options: Annotated[list[Option], Field(max_length=2000)] = []
    active: bool = True


class NewField(StoredField):
    """A field to add; its section, code and type never change."""

    section: Section
    code: Annotated[str, Field(max_length=40)]
    type: FieldType


class FormField(NewField):
    """A field of the form."""

    built_in: bool = Field(description="rules rely on it: its names and answers may change")
    version: int


class LawTerm(BaseModel):
    """A term of the law that holds from a day on; the newest that holds counts."""

    clock: DeadlineKind
    length: Annotated[int, Field(ge=1, le=365)]
    unit: TermUnit
    article: Annotated[str, Field(min_length=1, max_length=100, pattern=NO_NUL)]
    valid_from: date


class LawTermRead(LawTerm):
    """A term of the law with its last day."""

    valid_to: date | None


class Version(BaseModel):
    """The version that a change made."""

    version: int


@router.get("/api/v1/fields", dependencies=[requires(SessionPermission.SIGNED_IN)])
async def list_fields(site: CurrentSite) -> list[FormField]:
    """List the fields of the form in their order, inactive ones too."""
    return [_field(each) for each in (await service.read_form(site.engine)).fields]


@router.get("/api/v1/fields/{section}/{code}", dependencies=[requires(SessionPermission.SIGNED_IN)])
async def read_field(
    site: CurrentSite, response: Response, section: Section, code: str
) -> FormField:
    """One field; its ETag is needed to change it."""
    found = _field(service.find_field(await service.read_form(site.engine), section, code))
    response.headers["ETag"] = f'"{found.version}"'
    return found


@router.post("/api/v1/fields", status_code=201, dependencies=[requires(AppealPermission.EDIT_FORM)])
async def add_field(
    site: CurrentSite, actor: CurrentActor, once: CurrentOnce, new: NewField
) -> Version:
    """Add a field to the form."""

    async def call() -> Version:
        field = fields.Field(**dict(new) | {"options": _options(new.options)})
        return Version(version=await service.add_field(site.engine, actor, field))

    return await once(Version, call)


@router.put("/api/v1/fields/{section}/{code}", dependencies=[requires(AppealPermission.EDIT_FORM)])
async def change_field(
    site: CurrentSite,
    actor: CurrentActor,
    section: Section,
    code: str,
    seen: Seen,
    stored: StoredField,
) -> Version:
    """Store the next version of a field. Options are made inactive, and never left out."""

    def changed(old: fields.Field) -> fields.Field:
        return replace(old, **dict(stored) | {"options": _options(stored.options)})

    return Version(
        version=await service.change_field(site.engine, actor, section, code, changed, seen)
    )


@router.get("/api/v1/terms", dependencies=[requires(SessionPermission.SIGNED_IN)])
async def list_terms(site: CurrentSite) -> list[LawTermRead]:
    """List all terms of the law, the newest first."""
    terms = (await service.read_law(site.engine)).terms
    return [LawTermRead.model_validate(each, from_attributes=True) for each in terms]


@router.post("/api/v1/terms", status_code=201, dependencies=[requires(AppealPermission.EDIT_FORM)])
async def put_term(
    site: CurrentSite, actor: CurrentActor, once: CurrentOnce, new: LawTerm
) -> LawTerm:
    """Enter a term from a day on, as when the law changes."""

    async def call() -> LawTerm:
        await service.put_term(
            site.engine,
            actor,
            LegalTerm(new.clock, new.length, new.unit, new.article.strip(), new.valid_from),
        )
        return new

    return await once(LawTerm, call)


def _field(field: fields.Field) -> FormField:
    return FormField.model_validate(field, from_attributes=True)


def _options(options: list[Option]) -> tuple[fields.Option, ...]:
    return tuple(fields.Option(**dict(each)) for each in options)
