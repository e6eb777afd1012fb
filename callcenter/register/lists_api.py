"""Finding appeals in JSON, below /api/v1: the search, and the work lists."""

from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import StreamingResponse

from callcenter.register import exporting, finding, similar
from callcenter.register.exporting import Export, Format
from callcenter.register.lists import List
from callcenter.register.searching import Question
from callcenter.register.stages import Kind, Stage
from callcenter.web.access import needs
from callcenter.web.permissions import Permission
from callcenter.web.site import CurrentSite, CurrentVisit, language_of
from callcenter.web.words import ZONE

router = APIRouter(tags=["records"], dependencies=[needs(Permission.EDIT_APPEALS)])

Limit = Annotated[int, Query(ge=1, le=200)]


class Appeal(BaseModel):
    """An appeal that was found, or is to be worked on."""

    model_config = ConfigDict(from_attributes=True)

    number: str
    received_at: datetime
    stage: Stage
    kind: Kind | None
    due_on: date | None
    owner: str | None


class Appeals(BaseModel):
    """A page of appeals."""

    appeals: list[Appeal]
    next: str | None = Field(description="give it as `cursor` for the next page; none at the end")


class Typed(BaseModel):
    """What is being typed into a record."""

    content: dict[str, str | list[str]]


class Similar(BaseModel):
    """What is known of it: five of each at most."""

    same: list[Appeal] = Field(description="of the people who are typed")
    alike: list[Appeal] = Field(description="that tell of the same")


class WorkList(BaseModel):
    """How long a work list is; 200: that many or more."""

    list: List
    count: int


@router.get("/api/v1/search")
async def search(
    site: CurrentSite,
    visit: CurrentVisit,
    question: Annotated[Question, Depends(finding.asked)],
    cursor: finding.Cursor = "",
    limit: Limit = finding.PAGE,
) -> Appeals:
    """Appeals that fit, the newest first or by deadline; that you searched is in the audit log.

    Every word must be there, in any form and spelling. Without any question nothing is found.
    """
    return _page(await finding.search(site, visit, question, cursor, limit))


@router.get(
    "/api/v1/search/export",
    response_class=StreamingResponse,
    responses={200: {"content": {each.media_type: {} for each in Format}}},
)
async def export(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    question: Annotated[Question, Depends(finding.asked)],
    form: Annotated[Format, Query(alias="format")] = Format.CSV,
    personal: Annotated[
        bool, Query(description="with personal data: needs `appeals.export_personal` too")
    ] = False,
) -> StreamingResponse:
    """All appeals that fit, as a file in the language of Accept-Language.

    That you took it is in the audit log, with the filters and how many. In CSV a cell that a
    spreadsheet would take for a formula (`=`, `+`, `-`, `@`) begins with an apostrophe.
    """
    return downloaded(
        await exporting.export(
            site, visit, question, form, personal=personal, language=language_of(request)
        )
    )


def downloaded(export: Export) -> StreamingResponse:
    """The file as a browser keeps it."""
    name = f"appeals-{datetime.now(ZONE):%Y-%m-%d-%H%M}.{export.format.value}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(export.pieces, media_type=export.format.media_type, headers=headers)


@router.post("/api/v1/appeals/{number}/record/similar")
async def read_similar(
    site: CurrentSite, visit: CurrentVisit, number: str, typed: Typed
) -> Similar:
    """What is known already of what is being typed; nothing is kept of it.

    That you were shown something is in the audit log, once an hour.
    """
    known = await similar.similar(site, visit, number, typed.content)
    return Similar.model_validate(known, from_attributes=True)


@router.get("/api/v1/work-lists")
async def read_work(site: CurrentSite, visit: CurrentVisit) -> list[WorkList]:
    """What is to be done by you: the lists, in the order in which they are looked at."""
    counted = await finding.counts(site, visit)
    return [WorkList(list=which, count=count) for which, count in counted.items()]


@router.get("/api/v1/work-lists/{which}")
async def read_work_list(
    site: CurrentSite,
    visit: CurrentVisit,
    which: List,
    cursor: finding.Cursor = "",
    limit: Limit = finding.PAGE,
) -> Appeals:
    """A work list, by deadline, then the oldest first."""
    return _page(await finding.work(site, visit, which, cursor, limit))


def _page(found: finding.Page) -> Appeals:
    appeals = [Appeal.model_validate(each, from_attributes=True) for each in found.rows]
    return Appeals(appeals=appeals, next=found.following)
