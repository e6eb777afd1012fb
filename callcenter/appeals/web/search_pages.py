"""Pages of the search and of work lists."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Form, Query
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from callcenter.appeals.calls.labels import AppealLabels
from callcenter.appeals.form import service as form_service
from callcenter.appeals.labels import CHANNELS, KINDS, STAGES, RecordLabels
from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.record import assignment
from callcenter.appeals.record.service import guards_of
from callcenter.appeals.rules.fields import WITHIN, AccessRule
from callcenter.appeals.rules.number import parse
from callcenter.appeals.rules.states import AppealState
from callcenter.appeals.search import export as search_export
from callcenter.appeals.search import saved_searches, worklists
from callcenter.appeals.search import service as search_service
from callcenter.appeals.search.export import Export, ExportFormat, ExportRequest, TooManyAppeals
from callcenter.appeals.search.query import SearchFilter, SearchHit
from callcenter.appeals.web.appeal_view import labels_for
from callcenter.appeals.web.downloads import export_response
from callcenter.appeals.web.record_keys import record_keys
from callcenter.appeals.web.search_query import CurrentSearch, Cursor
from callcenter.platform.core.errors import N_, InvalidRequest
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.identity.actor import Actor
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import AppContext, CurrentActor, CurrentSite, language_of
from callcenter.platform.web.errors import status_of
from callcenter.platform.web.page_actions import SEE_OTHER, action, redirect, run_action
from callcenter.platform.web.templating import page

_DIGITS = re.compile(r"[0-9\s.–—-]+")
_LENGTHS = (10, 11)  # digits of a number of an appeal

TOO_MANY = N_(
    "More than %(limit)s appeals fit, which is more than a file may hold: choose a region, a stage"
    " or fewer days."
)
NOT_SAVED = N_(
    "The search was not saved: give it a name, and delete another one if you have %(limit)s."
)

router = APIRouter(include_in_schema=False, dependencies=[requires(AppealPermission.EDIT_APPEALS)])
assigning = APIRouter(
    include_in_schema=False, dependencies=[requires(AppealPermission.ASSIGN_APPEALS)]
)
viewing = APIRouter(include_in_schema=False, dependencies=[requires(AppealPermission.VIEW_APPEALS)])


@viewing.get("/search")
async def search(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    question: CurrentSearch,
    after: Cursor = "",
) -> Response:
    """Search appeals by number, telephone, ИИН, name and words; audited.

    Without a question all are listed. A whole number leads to its appeal. Those who may not edit
    records search by number alone.
    """
    if not actor.may(AppealPermission.EDIT_APPEALS):
        question = SearchFilter(text=question.text)
    if question.district:
        district = (await form_service.read_form(site.engine)).option("district", question.district)
        if district is None or district.parent != question.region:  # another one was chosen
            wider = saved_searches.as_query(replace(question, district=""))
            return RedirectResponse(f"/search?{wider}", SEE_OTHER)
    if question == SearchFilter():
        found = await search_service.list_newest(site.engine, record_keys(site), actor, after)
    else:
        found = await search_service.search(site.engine, record_keys(site), actor, question, after)
    number = _number(question.text)
    if replace(question, text="") == SearchFilter() and [number] == [
        each.number for each in found.rows
    ]:
        return RedirectResponse(f"/appeals/{number}", SEE_OTHER)
    return await _search_page(request, site, actor, question, found)


@router.post("/search/views")
async def keep_view(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    question: CurrentSearch,
    name: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Save the search under a name, or show it again with the error."""
    return await action(
        saved_searches.save(site.engine, record_keys(site), actor, name, question),
        f"/search?{saved_searches.as_query(question)}",
        lambda refusal: _refused_search(
            request, site, actor, question, refusal, NOT_SAVED, saved_searches.COUNT_LIMIT
        ),
    )


@router.post("/search/views/{view_id}/drop")
async def drop_view(site: CurrentSite, actor: CurrentActor, view_id: UUID) -> Response:
    """Delete a saved search; nothing is refused."""
    await saved_searches.delete(site.engine, actor, view_id)
    return redirect("/search")


@router.post("/search/export")
async def export(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    question: CurrentSearch,
    form: Annotated[ExportFormat, Form(alias="format")],
    personal: Annotated[bool, Form()] = False,
    why_numbers: Annotated[str, Form()] = "",
) -> Response:
    """Export all hits of the search as a file, audited, or show it again with the error."""

    async def send(taken: Export) -> Response:
        return export_response(taken)

    return await run_action(
        search_export.export(
            site.engine,
            record_keys(site),
            site.settings,
            actor,
            ExportRequest(question, form, personal, site.words[language_of(request)], why_numbers),
        ),
        send,
        lambda refusal: _refused_search(
            request,
            site,
            actor,
            question,
            refusal,
            TOO_MANY if isinstance(refusal, TooManyAppeals) else str(refusal),
            site.settings.export_limit,
        ),
    )


async def _refused_search(
    request: Request,
    site: AppContext,
    actor: Actor,
    question: SearchFilter,
    refusal: InvalidRequest,
    words: str,
    limit: int,
) -> Response:
    """The search again; `words` say why nothing was done, with a limit."""
    found = await search_service.search(site.engine, record_keys(site), actor, question)
    problem = site.words[language_of(request)](words, limit=limit)
    return await _search_page(request, site, actor, question, found, refusal, problem)


async def _search_page(
    request: Request,
    site: AppContext,
    actor: Actor,
    question: SearchFilter,
    found: search_service.HitPage,
    refusal: InvalidRequest | None = None,
    problem: str = "",
) -> Response:
    labels = RecordLabels(
        site.words[language_of(request)], await form_service.read_form(site.engine)
    )
    return page(
        request,
        "appeals/search.html",
        status=200 if refusal is None else status_of(refusal),
        filters=list(_filters(labels, question, await search_service.list_owners(site.engine))),
        question=question,
        views=await saved_searches.list_own(site.engine, record_keys(site), actor),
        this=saved_searches.as_query(question),
        searched=question != SearchFilter(),
        narrowed=replace(question, text="") != SearchFilter(),
        number=_number(question.text),
        mistyped=_is_mistyped(question.text),
        since=question.since.date() if question.since else "",
        until=(question.until - timedelta(days=1)).date() if question.until else "",
        rows=found.rows,
        more=next_page(request, found),
        export=f"/search/export?{urlencode(dict(request.query_params))}",
        formats=list(ExportFormat),
        personal=actor.may(AppealPermission.EXPORT_PERSONAL),
        problem=problem,
        listed=appeal_list(request, site, actor, labels),
    )


def _number(typed: str) -> str | None:
    """The number of an appeal that is typed, if it is one."""
    try:
        return parse(typed)
    except InvalidRequest:
        return None


def _is_mistyped(typed: str) -> bool:
    """Whether it looks like the number of an appeal, with a mistake in it."""
    digits = sum(each.isdecimal() for each in typed)
    return _DIGITS.fullmatch(typed) is not None and digits in _LENGTHS and _number(typed) is None


@dataclass(frozen=True, slots=True)
class AppealList:
    """How a list of appeals is shown to its reader: labels, and which columns they may see."""

    say: RecordLabels
    calls: AppealLabels
    guards: Collection[AccessRule]  #: none for those who may not open records

    @property
    def today(self) -> date:
        """The day by which a term is over."""
        return datetime.now(ZONE).date()

    def sees(self, key: str) -> bool:
        """Whether the reader may see this field of a record."""
        return self.say.form.guard(key, {}) in self.guards

    def stage(self, row: SearchHit) -> str:
        """The label of the stage."""
        return self.say.words.plain(STAGES[AppealState(row.stage)])


def appeal_list(
    request: Request, site: AppContext, actor: Actor, labels: RecordLabels
) -> AppealList:
    """How the templates' `table` of appeals shows rows to this reader."""
    guards = guards_of(actor) if actor.may(AppealPermission.EDIT_APPEALS) else frozenset()
    return AppealList(labels, labels_for(request, site), guards)


@dataclass(frozen=True, slots=True)
class AppealSearchForm:
    """A filter of the search: its label, its options, and the chosen one."""

    name: str
    words: str
    options: Sequence[tuple[str, str]]
    chosen: str


def _filters(
    labels: RecordLabels, question: SearchFilter, owners: Sequence[str]
) -> Iterator[AppealSearchForm]:
    """The filters of the search; districts once their region is chosen."""

    def from_labels(name: str, words: str, all_words: Mapping[Any, str]) -> AppealSearchForm:
        options = [(str(code), labels.words.plain(each)) for code, each in all_words.items()]
        return AppealSearchForm(
            name, labels.words.plain(words), options, getattr(question, name, "") or ""
        )

    def from_form(name: str, key: str) -> AppealSearchForm:
        options = [
            (
                each.code,
                f"· {labels.name(each)}" if each.parent and key == "topics" else labels.name(each),
            )
            for each in labels.form.options(key)
            if key not in WITHIN or each.parent == question.region
        ]
        return AppealSearchForm(name, labels.key(key), options, getattr(question, name))

    stage = question.stages[0] if question.stages else ""
    yield replace(from_labels("stage", N_("Stage"), STAGES), chosen=stage)
    yield from_labels("kind", N_("Kind"), KINDS)
    yield from_labels("channel", N_("Channel"), CHANNELS)
    yield from_form("direction", "direction")
    yield from_form("topic", "topics")
    yield from_form("region", "region")
    if question.region:
        yield from_form("district", "district")
    whose = [(each, each) for each in sorted({*owners, question.owner} - {""})]
    yield AppealSearchForm("owner", labels.words.plain(N_("Answers for it")), whose, question.owner)


@router.get("/work")
async def work(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    which: Annotated[str, Query(alias="list", max_length=40)] = "",
    after: Cursor = "",
) -> Response:
    """Show the work lists; without a choice, the first that is not empty."""
    return await _work_page(request, site, actor, which, after)


class AssignAllForm(BaseModel):
    """All open appeals of one person, for another."""

    before: Annotated[str, Field(max_length=40)]
    owner: Annotated[str, Field(max_length=40)]
    reason: Annotated[str, Field(max_length=2000)] = ""


@assigning.post("/assign-appeals")
async def assign_all(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    form: Annotated[AssignAllForm, Form()],
) -> Response:
    """Give all open appeals of a person to another; a refusal stands above the lists."""
    return await action(
        assignment.assign_all(
            site.engine, record_keys(site), actor, form.before, form.owner, form.reason
        ),
        "/work?list=departed",
        lambda _: _work_page(request, site, actor, "departed", is_refused=True),
    )


async def _work_page(
    request: Request,
    site: AppContext,
    actor: Actor,
    which: str,
    after: str = "",
    *,
    is_refused: bool = False,
) -> Response:
    counted = await search_service.count_lists(site.engine, actor)
    shown = worklists.find_list(which) if which else worklists.choose(counted)
    found = await search_service.read_list(site.engine, actor, shown, after if which else "")
    labels = RecordLabels(
        site.words[language_of(request)], await form_service.read_form(site.engine)
    )
    owners, assignees = (
        await assignment.list_choices(site.engine)
        if actor.may(AppealPermission.ASSIGN_APPEALS)
        else ((), ())
    )
    return page(
        request,
        "appeals/work.html",
        status=400 if is_refused else 200,
        lists=counted,
        owners=owners,
        assignees=assignees,
        is_refused=is_refused,
        shown=shown,
        limit=worklists.LIMIT,
        rows=found.rows,
        more=next_page(request, found, list=shown.key),
        listed=appeal_list(request, site, actor, labels),
    )


def next_page(request: Request, found: search_service.HitPage, **changes: str) -> str | None:
    """The address of the next page, if there is one: this one with another cursor."""
    if found.following is None:
        return None
    values = dict(request.query_params) | changes | {"after": found.following}
    return f"{request.url.path.removesuffix('/export')}?{urlencode(values)}"
