"""Pages to find appeals by: the search, and the work lists."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from callcenter.errors import N_
from callcenter.register import editing, exporting, finding, lists, views
from callcenter.register.exporting import Format, TooMany
from callcenter.register.fields import WITHIN
from callcenter.register.lists import List
from callcenter.register.lists_api import downloaded
from callcenter.register.searching import Question
from callcenter.register.wording import CHANNELS, KINDS, STAGES, Telling
from callcenter.web.access import needs
from callcenter.web.permissions import Permission
from callcenter.web.rendering import page
from callcenter.web.site import CurrentSite, CurrentVisit, Site, Visit, language_of
from callcenter.web.words import ZONE

SEE_OTHER = 303
LISTS = {
    List.CUT_OFF: N_("Cut off by a fault: call back?"),
    List.URGENT: N_("Urgent, not passed on yet"),
    List.OVERDUE: N_("Overdue"),
    List.TODAY: N_("Due today"),
    List.REMINDERS: N_("Reminders"),
    List.CALLBACK: N_("To call back"),
    List.MINE: N_("Mine"),
    List.TEAM: N_("My team's"),
    List.UNWRITTEN: N_("Calls without a record"),
    List.DRAFTS: N_("Typed and not saved"),
}

router = APIRouter(include_in_schema=False, dependencies=[needs(Permission.EDIT_APPEALS)])


@router.get("/search")
async def search(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    question: Annotated[Question, Depends(finding.asked)],
    after: finding.Cursor = "",
) -> Response:
    """Appeals by number, telephone, ИИН, name and words; what was looked for is audited."""
    if question.district:
        district = (await editing.form(site)).option("district", question.district)
        if district is None or district.parent != question.region:  # another one was chosen
            wider = views.as_query(replace(question, district=""))
            return RedirectResponse(f"/search?{wider}", SEE_OTHER)
    found = await finding.search(site, visit, question, after)
    return await _search_page(request, site, visit, question, found)


@router.post("/search/views")
async def keep_view(
    site: CurrentSite,
    visit: CurrentVisit,
    question: Annotated[Question, Depends(finding.asked)],
    name: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Keep the search under a name."""
    await views.keep(site, visit, name, question)
    return RedirectResponse(f"/search?{views.as_query(question)}", SEE_OTHER)


@router.post("/search/views/{view_id}/drop")
async def drop_view(site: CurrentSite, visit: CurrentVisit, view_id: UUID) -> Response:
    """Keep it no more."""
    await views.drop(site, visit, view_id)
    return RedirectResponse("/search", SEE_OTHER)


@router.post("/search/export")
async def export(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    question: Annotated[Question, Depends(finding.asked)],
    form: Annotated[Format, Form(alias="format")],
    personal: Annotated[bool, Form()] = False,
) -> Response:
    """What the search found, all of it, as a file; that it was taken is audited."""
    try:
        taken = await exporting.export(
            site, visit, question, form, personal=personal, language=language_of(request)
        )
    except TooMany:
        found = await finding.search(site, visit, question)
        return await _search_page(request, site, visit, question, found, refused=True)
    return downloaded(taken)


async def _search_page(
    request: Request,
    site: Site,
    visit: Visit,
    question: Question,
    found: finding.Page,
    *,
    refused: bool = False,
) -> Response:
    say = Telling(site.words[language_of(request)], await editing.form(site))
    return page(
        request,
        "register/search.html",
        status=400 if refused else 200,
        filters=list(_filters(say, question, await finding.owners(site))),
        question=question,
        views=await views.of(site, visit),
        this=views.as_query(question),
        asked=question != Question(),
        since=question.since.date() if question.since else "",
        until=(question.until - timedelta(days=1)).date() if question.until else "",
        rows=found.rows,
        more=onward(request, found),
        export=f"/search/export?{urlencode(dict(request.query_params))}",
        formats=list(Format),
        personal=visit.may(Permission.EXPORT_PERSONAL),
        limit=site.settings.export_limit if refused else None,
        stages=STAGES,
        kinds=KINDS,
        today=datetime.now(ZONE).date(),
    )


@dataclass(frozen=True, slots=True)
class Filter:
    """What may be chosen of a search: codes, each with its words."""

    name: str
    words: str
    options: Sequence[tuple[str, str]]
    chosen: str


def _filters(say: Telling, question: Question, owners: Sequence[str]) -> Iterator[Filter]:
    """What a search may be narrowed by; districts once their region is chosen."""

    def said(name: str, words: str, all_words: Mapping[Any, str]) -> Filter:
        options = [(str(code), say.words.plain(each)) for code, each in all_words.items()]
        return Filter(name, say.words.plain(words), options, getattr(question, name, "") or "")

    def asked(name: str, key: str) -> Filter:
        options = [
            (
                each.code,
                f"· {say.name(each)}" if each.parent and key == "topics" else say.name(each),
            )
            for each in say.form.options(key)
            if key not in WITHIN or each.parent == question.region
        ]
        return Filter(name, say.key(key), options, getattr(question, name))

    stage = question.stages[0] if question.stages else ""
    yield replace(said("stage", N_("Stage"), STAGES), chosen=stage)
    yield said("kind", N_("Kind"), KINDS)
    yield said("channel", N_("Channel"), CHANNELS)
    yield asked("direction", "direction")
    yield asked("topic", "topics")
    yield asked("region", "region")
    if question.region:
        yield asked("district", "district")
    whose = [(each, each) for each in sorted({*owners, question.owner} - {""})]
    yield Filter("owner", say.words.plain(N_("Answers for it")), whose, question.owner)


@router.get("/work")
async def work(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    which: Annotated[List | None, Query(alias="list")] = None,
    after: finding.Cursor = "",
) -> Response:
    """The work lists; without a choice, the first that is not empty."""
    counted = await finding.counts(site, visit)
    shown = which or next((each for each in List if counted[each]), List.MINE)
    found = await finding.work(site, visit, shown, after if which else "")
    return page(
        request,
        "register/work.html",
        lists={each: (LISTS[each], counted[each]) for each in List},
        shown=shown,
        limit=lists.LIMIT,
        rows=found.rows,
        more=onward(request, found, list=shown.value),
        stages=STAGES,
        kinds=KINDS,
        today=datetime.now(ZONE).date(),
    )


def onward(request: Request, found: finding.Page, **values: str) -> str | None:
    """The address of the next page, if there is one: this one's with another cursor."""
    if found.following is None:
        return None
    asked = dict(request.query_params) | values | {"after": found.following}
    return f"{request.url.path.removesuffix('/export')}?{urlencode(asked)}"
