"""Pages to add many people by a table: type or paste, look at what would be, add."""

from typing import Annotated

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import Response

from callcenter.consultants.dependencies import CurrentScript
from callcenter.consultants.service import push_roster
from callcenter.platform.core.errors import N_, InvalidRequest
from callcenter.platform.identity.invitations import link_of
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import AppContext, CurrentActor, CurrentSite
from callcenter.platform.web.form_fields import NO_NUL
from callcenter.platform.web.templating import page
from callcenter.users import people_table
from callcenter.users.labels import refusal_label
from callcenter.users.people_table import (
    COLUMNS,
    NEEDED,
    AddedLine,
    RefusedLine,
    TableFault,
    UnreadableTable,
)
from callcenter.users.permissions import UserPermission

FAULTS = {
    TableFault.EMPTY: N_("There is no person below the first line."),
    TableFault.COLUMNS: N_("The first line has to name the columns, as below, each once."),
    TableFault.LONG: N_("One table has 500 people at most."),
    TableFault.QUOTES: N_("There is a quote that does not end."),
    TableFault.ROLE: N_("This is no role."),
    TableFault.LANGUAGES: N_("The languages cannot be read: write them as in the example below."),
    TableFault.SKILLS: N_(
        "The skills cannot be read: write them with levels from 1 to 5, as in the example below."
    ),
    TableFault.TELEPHONE: N_("The telephone cannot be read: write it as in the example below."),
}

TableText = Annotated[str, Form(alias="table", max_length=200_000, pattern=NO_NUL)]

router = APIRouter(include_in_schema=False, dependencies=[requires(UserPermission.MANAGE_USERS)])


@router.get("/people-table")
async def form(request: Request) -> Response:
    """The field for the table, and what its columns are."""
    return _page(request)


@router.post("/people-table/preview")
async def preview(
    request: Request, site: CurrentSite, actor: CurrentActor, table: TableText = ""
) -> Response:
    """Show what adding the table would do; nothing is added."""
    try:
        lines = people_table.read_table(table)
    except UnreadableTable as unreadable:
        return _page(request, problem=FAULTS[unreadable.fault])
    called = site.settings.called_numbers
    outcomes = await people_table.preview(site.engine, actor, lines, called)
    return _page(request, outcomes=outcomes)


@router.post("/people-table")
async def add(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    script: CurrentScript,
    table: TableText = "",
) -> Response:
    """Add everybody of the table, and show their links this once; or nobody, and why."""
    try:
        lines = people_table.read_table(table)
    except UnreadableTable as unreadable:
        return _page(request, problem=FAULTS[unreadable.fault])
    called = site.settings.called_numbers
    outcomes = await people_table.add_all(site.engine, actor, lines, called)
    if any(isinstance(each, RefusedLine) for each in outcomes):
        return _page(request, outcomes=outcomes)
    await push_roster(site.engine, script)
    return _links(request, site, outcomes)


def _page(
    request: Request,
    *,
    problem: str | None = None,
    outcomes: list[AddedLine | RefusedLine] | None = None,
) -> Response:
    refused = [each for each in outcomes or () if isinstance(each, RefusedLine)]
    return page(
        request,
        "users/people_table.html",
        status=400 if problem or refused else 200,
        problem=problem,
        outcomes=outcomes,
        refused=[(each.number, each.name, _why(each.why)) for each in refused],
        columns=COLUMNS,
        needed=NEEDED,
    )


def _why(why: TableFault | InvalidRequest) -> str:
    return FAULTS[why] if isinstance(why, TableFault) else refusal_label(why)


def _links(request: Request, site: AppContext, outcomes: list[AddedLine | RefusedLine]) -> Response:
    added = [each for each in outcomes if isinstance(each, AddedLine)]
    return page(
        request,
        "users/people_links.html",
        added=[(each, link_of(site.settings, each.token)) for each in added],
        until=added[0].until,
    )
