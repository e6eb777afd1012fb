"""JSON API of the search and of work lists, below /api/v1."""

from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import StreamingResponse

from callcenter.appeals.calls.service import REASON_LIMIT
from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.rules.states import AppealKind, AppealState
from callcenter.appeals.search import export as search_export
from callcenter.appeals.search import service, similar
from callcenter.appeals.search.export import ExportFormat, ExportRequest
from callcenter.appeals.search.worklists import find_list
from callcenter.appeals.web.downloads import export_response
from callcenter.appeals.web.record_keys import record_keys
from callcenter.appeals.web.search_query import CurrentSearch, Cursor, Limit
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentActor, CurrentSite, language_of

router = APIRouter(tags=["records"], dependencies=[requires(AppealPermission.EDIT_APPEALS)])


class Appeal(BaseModel):
    """An appeal of a search or a work list."""

    model_config = ConfigDict(from_attributes=True)

    number: str
    received_at: datetime
    stage: AppealState
    kind: AppealKind | None
    due_on: date | None
    owner: str | None


class Appeals(BaseModel):
    """A page of appeals."""

    appeals: list[Appeal]
    next: str | None = Field(description="give it as `cursor` for the next page; none at the end")


class DraftContent(BaseModel):
    """The unsaved content of a record."""

    content: dict[str, str | list[str]]


class Similar(BaseModel):
    """Similar appeals: five of each at most."""

    same: list[Appeal] = Field(description="of the people who are typed")
    alike: list[Appeal] = Field(description="that tell of the same")


class WorkListModel(BaseModel):
    """The length of a work list; 200 stands for that many or more."""

    list: str
    count: int


@router.get("/api/v1/search")
async def search(
    site: CurrentSite,
    actor: CurrentActor,
    question: CurrentSearch,
    cursor: Cursor = "",
    limit: Limit = service.PAGE,
) -> Appeals:
    """Search appeals, the newest first or by deadline, with an entry in the audit log.

    Every word must match, in any form and spelling. Without any filter nothing is found.
    """
    return _page(
        await service.search(site.engine, record_keys(site), actor, question, cursor, limit)
    )


@router.get(
    "/api/v1/search/export",
    response_class=StreamingResponse,
    responses={200: {"content": {each.media_type: {} for each in ExportFormat}}},
)
async def export(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    question: CurrentSearch,
    form: Annotated[ExportFormat, Query(alias="format")] = ExportFormat.CSV,
    personal: Annotated[
        bool, Query(description="with personal data: requires `appeals.export_personal` too")
    ] = False,
    why_numbers: Annotated[
        str,
        Query(
            max_length=REASON_LIMIT,
            description="why numbers of callers must be whole in personal data; empty: masked",
        ),
    ] = "",
) -> StreamingResponse:
    """Export all appeals that match, as a file in the language of Accept-Language.

    The audit log says that you took it, with the filters and how many. In CSV a cell that a
    spreadsheet would take for a formula (`=`, `+`, `-`, `@`) begins with an apostrophe.
    """
    return export_response(
        await search_export.export(
            site.engine,
            record_keys(site),
            site.settings,
            actor,
            ExportRequest(question, form, personal, site.words[language_of(request)], why_numbers),
        )
    )


@router.post("/api/v1/appeals/{number}/record/similar")
async def read_similar(
    site: CurrentSite, actor: CurrentActor, number: str, typed: DraftContent
) -> Similar:
    """Find appeals that are similar to unsaved content, which is not stored.

    The audit log says once an hour that you were shown some.
    """
    found = await similar.similar(site.engine, record_keys(site), actor, number, typed.content)
    return Similar.model_validate(found, from_attributes=True)


@router.get("/api/v1/work-lists")
async def read_work(site: CurrentSite, actor: CurrentActor) -> list[WorkListModel]:
    """List your work lists with their lengths, in the order of their urgency."""
    counted = await service.count_lists(site.engine, actor)
    return [WorkListModel(list=which.key, count=count) for which, count in counted.items()]


@router.get("/api/v1/work-lists/{which}")
async def read_work_list(
    site: CurrentSite,
    actor: CurrentActor,
    which: str,
    cursor: Cursor = "",
    limit: Limit = service.PAGE,
) -> Appeals:
    """Read a work list, by deadline, then the oldest first."""
    return _page(await service.read_list(site.engine, actor, find_list(which), cursor, limit))


def _page(found: service.HitPage) -> Appeals:
    appeals = [Appeal.model_validate(each, from_attributes=True) for each in found.rows]
    return Appeals(appeals=appeals, next=found.following)
