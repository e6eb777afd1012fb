"""Renders templates in the visitor's language."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from operator import itemgetter
from pathlib import Path
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, PrefixLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse

from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.i18n import LANGUAGES
from callcenter.platform.core.registry import offers
from callcenter.platform.identity.actor import Actor, name_of
from callcenter.platform.identity.permissions import Permission
from callcenter.platform.identity.sessions import new_token
from callcenter.platform.web.context import (
    DONE_COOKIE,
    Asset,
    MenuEntry,
    WebModule,
    form_token,
    is_secure,
    language_of,
    site_of,
    token_cookie,
)
from callcenter.platform.web.guides import Guide

HERE = Path(__file__).parent


def menu_of(rooms: Sequence[WebModule]) -> tuple[MenuEntry, ...]:
    """Return the menu of these rooms, in its order."""
    return tuple(sorted((each for room in rooms for each in room.menu), key=lambda it: it.order))


def current_entry(menu: Sequence[MenuEntry], path: str) -> MenuEntry | None:
    """Return the entry that this page belongs to: of those above it, the closest."""
    above = [
        (len(top), entry)
        for entry in menu
        for top in (entry.path, entry.beside)
        if top and f"{path}/".startswith(f"{top}/")
    ]
    return max(above, key=itemgetter(0), default=(0, None))[1]


def guides_of(rooms: Sequence[WebModule]) -> dict[str, Guide]:
    """Return the guides of these rooms by the template of their page."""
    return {guide.page: guide for room in rooms for guide in room.guides}


def make_templates(rooms: Sequence[WebModule], assets: Mapping[str, Asset]) -> Environment:
    """The templates of all rooms as ROOM/NAME.html; an undefined name is an error."""
    folders = {"web": HERE / "templates"} | {
        room.name: room.templates for room in rooms if room.templates is not None
    }
    environment = Environment(
        loader=PrefixLoader({name: FileSystemLoader(path) for name, path in folders.items()}),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    def asset(name: str) -> str:
        if name not in assets:
            raise OperationFailed(f"there is no {name}: run scripts/setup, and start this again")
        return f"/static/{name}?v={assets[name].version}"

    environment.globals["asset"] = asset
    environment.globals["languages"] = LANGUAGES
    environment.globals["name_of"] = name_of
    environment.globals["permission"] = {str(each): each for each in offers(Permission)}.__getitem__
    environment.globals["menu"] = menu_of(rooms)
    environment.globals["current_entry"] = current_entry
    environment.globals["guides"] = frozenset(guides_of(rooms))
    return environment


def page(
    request: Request,
    template: str,
    *,
    status: int = 200,
    token: str | None = None,
    **values: object,
) -> HTMLResponse:
    """A page as a response, in the visitor's language.

    Templates get `_` (the Words of the language), `visit` (None where the error came before the
    sign-in was read), `form_token`, `here` (the address to come back to), `typed` (what was sent
    here and refused, nothing of any other form), `typed_at` (the same, for the form of one address
    among several), `done` (whether the form that led here was carried out) and the values given.
    `token` is a new secret for the browser, with which the forms of this page agree.
    """
    site = site_of(request)
    words = site.words[language_of(request)]
    cookie = token_cookie(request)
    current = request.cookies.get(cookie)
    fresh = token or (None if current else new_token())
    actor: Actor | None = getattr(request.state, "actor", None)
    typed = typed_into(request)

    def typed_at(path: str) -> SubmittedForm:
        is_refused = status >= HTTPStatus.BAD_REQUEST and request.url.path == path
        return typed if is_refused else SubmittedForm()

    is_next = request.method == "GET" and DONE_COOKIE in request.cookies
    content = site.templates.get_template(template).render(
        _=words,
        actor=actor,
        form_token=form_token(fresh or current or ""),
        template=template,
        here=_here(request),
        done=is_next and status == HTTPStatus.OK,
        **{"typed": typed, "typed_at": typed_at} | values,
    )
    response = HTMLResponse(content, status)
    if is_next:
        response.delete_cookie(DONE_COOKIE, path="/")
    if fresh is not None:
        # Signed in or not, a browser has a secret of its own, which its forms are tied to.
        set_token(request, response, fresh)
    return response


def _here(request: Request) -> str:
    """The address of the page with its query; that of the form's page for a form."""
    address = str(request.url) if request.method == "GET" else request.headers.get("referer", "")
    try:
        url = urlsplit(address)
    except ValueError:  # whatever a browser may say
        return "/"
    return f"{url.path}?{url.query}" if url.query else url.path or "/"


class SubmittedForm(dict[str, str]):
    """The submitted texts of a form by name; missing ones are empty."""

    def __missing__(self, name: str) -> str:
        return ""


def typed_into(request: Request) -> SubmittedForm:
    """The form that the guard has read (see platform.web.authorization); empty without one."""
    form: Mapping[str, object] = getattr(request.state, "form", {})
    return SubmittedForm({name: value for name, value in form.items() if isinstance(value, str)})


def set_token(request: Request, response: HTMLResponse | RedirectResponse, token: str) -> None:
    """Set the browser's secret until it is closed; the server ends sessions by itself."""
    response.set_cookie(
        token_cookie(request),
        token,
        path="/",
        httponly=True,
        samesite="lax",
        secure=is_secure(request),
    )
