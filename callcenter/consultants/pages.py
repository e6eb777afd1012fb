"""Pages of consultants: what each speaks and can do, and the center's lists of its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from callcenter.consultants import managing, store, terms
from callcenter.consultants.accounts import LANGUAGES
from callcenter.consultants.api import typed_term
from callcenter.consultants.skills import HIGHEST, LOWEST
from callcenter.consultants.store import UnknownConsultant
from callcenter.consultants.teams import LONGEST
from callcenter.consultants.terms import Kind, Term
from callcenter.consultants.wording import name_of
from callcenter.errors import N_, AskedWrongly
from callcenter.storage.engine import unit_of_work
from callcenter.web.access import needs
from callcenter.web.errors import NotFound
from callcenter.web.permissions import Permission
from callcenter.web.rendering import page
from callcenter.web.site import CurrentSite, CurrentVisit, Site

TEMPLATES = Path(__file__).parent / "templates"
SEE_OTHER = 303

SPOKEN = {"kk": N_("Kazakh"), "ru": N_("Russian")}
LISTS = {Kind.SKILL: N_("Skills"), Kind.PAUSE_REASON: N_("Reasons of pauses")}

router = APIRouter(include_in_schema=False, dependencies=[needs(Permission.MANAGE_CONSULTANTS)])


@router.get("/consultants")
async def everyone(request: Request, site: CurrentSite) -> Response:
    """All consultants, and which user each is."""
    async with unit_of_work(site.engine) as connection:
        consultants = await store.everyone(connection)
        users = await store.users(connection)
        skills = await terms.terms(connection, Kind.SKILL)
    return page(
        request,
        "consultants/consultants.html",
        name_of=name_of,
        consultants=consultants,
        users=users,
        skills={term.code: term for term in skills},
        spoken=SPOKEN,
    )


@router.get("/consultants/{extension}")
async def one(request: Request, site: CurrentSite, extension: str) -> Response:
    """The languages and skills of one consultant."""
    return await _form(request, site, extension)


@router.post("/consultants/{extension}")
async def change(
    request: Request, site: CurrentSite, visit: CurrentVisit, extension: str
) -> Response:
    """Keep what was ticked and chosen; what cannot be is said on the form."""
    form = await request.form()
    languages = [language for language in LANGUAGES if form.get(f"speaks_{language}")]
    levels = _levels({name: str(value) for name, value in form.items()})
    try:
        team = str(form["team"]) if "team" in form else None
        await managing.change_consultant(site, visit, extension, languages, levels, team)
    except UnknownConsultant as exc:
        raise NotFound from exc
    except AskedWrongly:
        return await _form(request, site, extension, wrong=True)
    return RedirectResponse("/consultants", SEE_OTHER)


@router.get("/lists")
async def lists(request: Request, site: CurrentSite) -> Response:
    """The center's own lists."""
    return await _lists(request, site)


@router.post("/lists/{kind}")
async def put(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    kind: Kind,
    term: Annotated[Term, Depends(typed_term)],
    new: Annotated[bool, Form()] = False,
) -> Response:
    """Add an entry, or change one; what cannot be is said on the page."""
    try:
        if new:
            await _check_new(site, kind, term.code)
        await managing.put_term(site, visit, kind, term)
    except AskedWrongly:
        return await _lists(request, site, wrong=kind)
    return RedirectResponse("/lists", SEE_OTHER)


async def _check_new(site: Site, kind: Kind, code: str) -> None:
    async with unit_of_work(site.engine) as connection:
        if code in {term.code for term in await terms.terms(connection, kind)}:
            raise AskedWrongly(f"there is {code} already: change it")


def _levels(form: Mapping[str, str]) -> dict[str, int]:
    """Levels by skill; none is no skill. What is no number is no level, and is refused later."""
    named = {name.removeprefix("level_"): value for name, value in form.items() if "level_" in name}
    return {code: int(value) if value.isdecimal() else 0 for code, value in named.items() if value}


async def _form(request: Request, site: Site, extension: str, *, wrong: bool = False) -> Response:
    async with unit_of_work(site.engine) as connection:
        try:
            consultant = await store.find(connection, extension)
        except UnknownConsultant as exc:
            raise NotFound from exc
        skills = [term for term in await terms.terms(connection, Kind.SKILL) if term.active]
        teams = {each.team for each in await store.everyone(connection) if each.team}
    return page(
        request,
        "consultants/consultant.html",
        name_of=name_of,
        status=400 if wrong else 200,
        consultant=consultant,
        skills=skills,
        spoken=SPOKEN,
        levels=range(LOWEST, HIGHEST + 1),
        teams=sorted(teams),
        longest_team=LONGEST,
        wrong=wrong,
    )


async def _lists(request: Request, site: Site, *, wrong: Kind | None = None) -> Response:
    async with unit_of_work(site.engine) as connection:
        kept = {kind: await terms.terms(connection, kind) for kind in Kind}
    return page(
        request,
        "consultants/lists.html",
        name_of=name_of,
        status=400 if wrong else 200,
        kept=kept,
        headings=LISTS,
        keys=terms.KEYS,
        wrong=wrong,
    )
