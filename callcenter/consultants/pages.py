"""Pages of consultants, their languages and skills, and of the center's lists."""

from typing import Annotated

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import Response

from callcenter.consultants import reference_lists, service, store
from callcenter.consultants.dependencies import CurrentScript, EntryForm, read_levels
from callcenter.consultants.labels import name_of
from callcenter.consultants.permissions import ConsultantPermission
from callcenter.consultants.reference_lists import ListKind
from callcenter.consultants.rules.skills import HIGHEST, LOWEST
from callcenter.consultants.rules.teams import LONGEST
from callcenter.consultants.store import UnknownConsultant
from callcenter.platform.core.errors import N_, InvalidRequest, NotFound
from callcenter.platform.core.languages import CALLER_LANGUAGES
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import AppContext, CurrentActor, CurrentSite
from callcenter.platform.web.page_actions import action
from callcenter.platform.web.templating import page

SPOKEN = {"kk": N_("Kazakh"), "ru": N_("Russian")}
LISTS = {ListKind.SKILL: N_("Skills"), ListKind.PAUSE_REASON: N_("Reasons of pauses")}

router = APIRouter(
    include_in_schema=False, dependencies=[requires(ConsultantPermission.MANAGE_CONSULTANTS)]
)


@router.get("/consultants")
async def everyone(request: Request, site: CurrentSite) -> Response:
    """All consultants, and the user linked with each."""
    async with unit_of_work(site.engine) as connection:
        consultants = await store.everyone(connection)
        users = await store.users(connection)
        skills = await reference_lists.list_entries(connection, ListKind.SKILL)
    return page(
        request,
        "consultants/consultants.html",
        name_of=name_of,
        consultants=consultants,
        users=users,
        skills={entry.code: entry for entry in skills},
        spoken=SPOKEN,
    )


@router.get("/consultants/{extension}")
async def one(request: Request, site: CurrentSite, extension: str) -> Response:
    """The languages and skills of one consultant."""
    return await _form(request, site, extension)


@router.post("/consultants/{extension}")
async def change(
    request: Request, site: CurrentSite, script: CurrentScript, actor: CurrentActor, extension: str
) -> Response:
    """Save the form, or show it again with the error."""
    form = await request.form()
    languages = [language for language in CALLER_LANGUAGES if form.get(f"speaks_{language}")]
    levels = read_levels({name: str(value) for name, value in form.items()})
    team = str(form["team"]) if "team" in form else None
    return await action(
        service.change_consultant(site.engine, script, actor, extension, languages, levels, team),
        "/consultants",
        lambda _: _form(request, site, extension, wrong=True),
    )


@router.get("/lists")
async def lists(request: Request, site: CurrentSite) -> Response:
    """The center's own lists."""
    return await _lists(request, site)


@router.post("/lists/{kind}")
async def put(
    request: Request,
    site: CurrentSite,
    script: CurrentScript,
    actor: CurrentActor,
    kind: ListKind,
    entry: EntryForm,
    new: Annotated[bool, Form()] = False,
) -> Response:
    """Add an entry, or change one; an error is shown on the page."""

    async def call() -> None:
        if new:
            await _check_new(site, kind, entry.code)
        await service.put_entry(site.engine, script, actor, kind, entry)

    return await action(call(), "/lists", lambda _: _lists(request, site, wrong=kind))


async def _check_new(site: AppContext, kind: ListKind, code: str) -> None:
    async with unit_of_work(site.engine) as connection:
        entries = await reference_lists.list_entries(connection, kind)
    if code in {entry.code for entry in entries}:
        raise InvalidRequest(f"there is {code} already: change it")


async def _form(
    request: Request, site: AppContext, extension: str, *, wrong: bool = False
) -> Response:
    async with unit_of_work(site.engine) as connection:
        try:
            consultant = await store.find(connection, extension)
        except UnknownConsultant as exc:
            raise NotFound from exc
        entries = await reference_lists.list_entries(connection, ListKind.SKILL)
        teams = {each.team for each in await store.everyone(connection) if each.team}
    return page(
        request,
        "consultants/consultant.html",
        name_of=name_of,
        status=400 if wrong else 200,
        consultant=consultant,
        skills=[entry for entry in entries if entry.active],
        spoken=SPOKEN,
        levels=range(LOWEST, HIGHEST + 1),
        teams=sorted(teams),
        longest_team=LONGEST,
        wrong=wrong,
    )


async def _lists(request: Request, site: AppContext, *, wrong: ListKind | None = None) -> Response:
    async with unit_of_work(site.engine) as connection:
        lists = {kind: await reference_lists.list_entries(connection, kind) for kind in ListKind}
    return page(
        request,
        "consultants/lists.html",
        name_of=name_of,
        status=400 if wrong else 200,
        lists=lists,
        headings=LISTS,
        keys=reference_lists.KEYS,
        wrong=wrong,
    )
