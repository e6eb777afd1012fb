"""The form and the law's terms in JSON, below /api/v1: read by all, edited by the center."""

from dataclasses import replace
from datetime import date
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from callcenter.register import editing, fields
from callcenter.register.api import Seen
from callcenter.register.fields import Guard, Section, Type
from callcenter.register.terms import Clock, Term, Unit
from callcenter.web.access import needs
from callcenter.web.once import CurrentOnce
from callcenter.web.permissions import Permission
from callcenter.web.site import CurrentSite, CurrentVisit

router = APIRouter(tags=["form"])

Name = Annotated[str, Field(max_length=200)]


class Option(BaseModel):
    """An answer of a choice. Codes stay when names change."""

    model_config = ConfigDict(from_attributes=True)

    code: Annotated[str, Field(max_length=40)]
    kk: Name
    ru: Name
    en: Name
    parent: Annotated[str, Field(max_length=40, description="the answer that it is a part of")] = ""
    active: bool = True


class FieldKept(BaseModel):
    """What may be changed of a field."""

    guard: Guard
    kk: Name
    ru: Name
    en: Name
    position: Annotated[int, Field(ge=0, le=9999)]
    options: Annotated[list[Option], Field(max_length=2000)] = []
    active: bool = True


class NewField(FieldKept):
    """A field; where it stands and what it takes never changes."""

    section: Section
    code: Annotated[str, Field(max_length=40)]
    type: Type


class FormField(NewField):
    """A field of the form."""

    built_in: bool = Field(description="rules rely on it: its names and answers may change")
    version: int


class LawTerm(BaseModel):
    """A term of the law, and from when on it holds; the newest that holds counts."""

    clock: Clock
    length: Annotated[int, Field(ge=1, le=365)]
    unit: Unit
    article: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]
    valid_from: date


class LawTermRead(LawTerm):
    """The same, and its last day."""

    valid_to: date | None


class Version(BaseModel):
    """The version that a change made."""

    version: int


@router.get("/api/v1/fields", dependencies=[needs(Permission.SIGNED_IN)])
async def list_fields(site: CurrentSite) -> list[FormField]:
    """What the form asks, in its order; also what is not in use any more."""
    return [_field(each) for each in (await editing.form(site)).fields]


@router.get("/api/v1/fields/{section}/{code}", dependencies=[needs(Permission.SIGNED_IN)])
async def read_field(
    site: CurrentSite, response: Response, section: Section, code: str
) -> FormField:
    """One field; its ETag is needed to change it."""
    found = _field(editing.field_of(await editing.form(site), section, code))
    response.headers["ETag"] = f'"{found.version}"'
    return found


@router.post("/api/v1/fields", status_code=201, dependencies=[needs(Permission.EDIT_FORM)])
async def add_field(
    site: CurrentSite, visit: CurrentVisit, once: CurrentOnce, new: NewField
) -> Version:
    """Add a field to the form."""

    async def deed() -> Version:
        field = fields.Field(**dict(new) | {"options": _options(new.options)})
        return Version(version=await editing.add_field(site, visit, field))

    return await once(Version, deed)


@router.put("/api/v1/fields/{section}/{code}", dependencies=[needs(Permission.EDIT_FORM)])
async def change_field(
    site: CurrentSite,
    visit: CurrentVisit,
    section: Section,
    code: str,
    seen: Seen,
    kept: FieldKept,
) -> Version:
    """Keep the next version of a field. Answers are made inactive, and never left out."""

    def changed(old: fields.Field) -> fields.Field:
        return replace(old, **dict(kept) | {"options": _options(kept.options)})

    return Version(version=await editing.change_field(site, visit, section, code, changed, seen))


@router.get("/api/v1/terms", dependencies=[needs(Permission.SIGNED_IN)])
async def list_terms(site: CurrentSite) -> list[LawTermRead]:
    """All terms of the law that are or were entered, the newest first."""
    terms = (await editing.law(site)).terms
    return [LawTermRead.model_validate(each, from_attributes=True) for each in terms]


@router.post("/api/v1/terms", status_code=201, dependencies=[needs(Permission.EDIT_FORM)])
async def put_term(
    site: CurrentSite, visit: CurrentVisit, once: CurrentOnce, new: LawTerm
) -> LawTerm:
    """Enter a term from a day on, as when the law changes."""

    async def deed() -> LawTerm:
        await editing.put_term(
            site,
            visit,
            Term(new.clock, new.length, new.unit, new.article.strip(), new.valid_from),
        )
        return new

    return await once(LawTerm, deed)


def _field(field: fields.Field) -> FormField:
    return FormField.model_validate(field, from_attributes=True)


def _options(options: list[Option]) -> tuple[fields.Option, ...]:
    return tuple(fields.Option(**dict(each)) for each in options)
