"""Pages to find appeals by: the search, and the work lists."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from callcenter.audit.actions import Action
from callcenter.audit.store import record as audit
from callcenter.errors import N_
from callcenter.register import definitions, lists, searching
from callcenter.register.fields import Form
from callcenter.register.handling import guards_of
from callcenter.register.lists import List
from callcenter.register.private import Keys
from callcenter.register.searching import LIMIT, Found, Question
from callcenter.register.stages import Stage
from callcenter.register.wording import KINDS, STAGES, Telling
from callcenter.storage.engine import unit_of_work
from callcenter.web.access import needs
from callcenter.web.permissions import Permission
from callcenter.web.rendering import page
from callcenter.web.site import CurrentSite, CurrentVisit, Site, Visit, language_of
from callcenter.web.words import ZONE, midnight

LISTS = {
    List.DANGER: N_("Danger, not passed on yet"),
    List.OVERDUE: N_("Overdue"),
    List.TODAY: N_("Due today"),
    List.MINE: N_("Mine"),
    List.UNWRITTEN: N_("Calls without a record"),
    List.DRAFTS: N_("Typed and not saved"),
}

router = APIRouter(include_in_schema=False, dependencies=[needs(Permission.EDIT_APPEALS)])


@router.get("/search")
async def search(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    q: Annotated[str, Query(max_length=200)] = "",
    stage: Stage | Literal[""] = "",
    region: Annotated[str, Query(max_length=40)] = "",
    since: date | Literal[""] = "",
    until: date | Literal[""] = "",
    by_deadline: bool = False,
) -> Response:
    """Appeals by number, telephone, ИИН, name and words; what was looked for is audited."""
    question = Question(
        text=q,
        stages=(stage,) if stage else (),
        region=region,
        since=midnight(since) if since else None,
        until=midnight(until + timedelta(days=1)) if until else None,
        by_deadline=by_deadline,
    )
    form, found = await _answered(site, visit, question)
    region_field = form.field("region")
    return page(
        request,
        "register/search.html",
        say=Telling(site.words[language_of(request)], form),
        regions=region_field.options if region_field is not None else (),
        question=question,
        asked=question != Question(),
        since=since,
        until=until,
        rows=found[:LIMIT],
        more=len(found) > LIMIT,
        stages=STAGES,
        kinds=KINDS,
        today=datetime.now(ZONE).date(),
    )


@router.get("/work")
async def work(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    which: Annotated[List | None, Query(alias="list")] = None,
) -> Response:
    """The work lists; without a choice, the first that is not empty."""
    now = datetime.now(UTC)
    today = now.astimezone(ZONE).date()
    user = visit.who.removeprefix("user:")
    async with unit_of_work(site.engine) as connection:
        counted = await lists.counts(connection, user, today=today, now=now)
        shown = which or next((each for each in List if counted[each]), List.MINE)
        found = await lists.read(connection, shown, user, today=today, now=now)
    return page(
        request,
        "register/work.html",
        lists={each: (LISTS[each], counted[each]) for each in List},
        shown=shown,
        limit=lists.LIMIT,
        rows=found,
        stages=STAGES,
        kinds=KINDS,
        today=today,
    )


async def _answered(site: Site, visit: Visit, question: Question) -> tuple[Form, list[Found]]:
    """The form in force, and what was found; nothing, and no audit entry, for no question."""
    keys = Keys.read(site.settings)
    async with unit_of_work(site.engine) as connection:
        form = await definitions.form(connection)
        if question == Question():
            return form, []
        found = await searching.find(connection, keys, question, guards_of(visit))
        await audit(
            connection,
            who=visit.who,
            action=Action.APPEALS_SEARCHED,
            subject="appeals",
            detail={"words": len(question.text.split()), "found": len(found)},
            from_address=visit.address,
        )
    return form, found
