"""From a template and values to a page in the visitor's language."""

import hashlib
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from itertools import chain
from pathlib import Path
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, PrefixLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse

from callcenter.errors import WeFailed
from callcenter.web.permissions import Permission
from callcenter.web.sessions import new_token
from callcenter.web.site import (
    DONE_COOKIE,
    Asset,
    Room,
    Visit,
    form_token,
    is_secure,
    language_of,
    site_of,
    token_cookie,
)
from callcenter.web.words import LANGUAGES

HERE = Path(__file__).parent
BUILT = HERE / "packages" / "built"  # by scripts/setup
MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def load_assets() -> dict[str, Asset]:
    """What is served below /static/, by name: only these, whatever a path says."""
    found = {}
    for file in sorted(chain((HERE / "static").iterdir(), BUILT.glob("*.js"))):
        content = file.read_bytes()
        version = hashlib.sha256(content).hexdigest()[:12]
        found[file.name] = Asset(content, MEDIA_TYPES[file.suffix], version)
    return found


def make_templates(rooms: Sequence[Room], assets: Mapping[str, Asset]) -> Environment:
    """Templates of all rooms as ROOM/NAME.html; an undefined name is an error."""
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
            raise WeFailed(f"there is no {name}: run scripts/setup, and start this again")
        return f"/static/{name}?v={assets[name].version}"

    environment.globals["asset"] = asset
    environment.globals["languages"] = LANGUAGES
    environment.globals["Permission"] = Permission
    return environment


def page(
    request: Request,
    template: str,
    *,
    status: int = 200,
    token: str | None = None,
    **values: object,
) -> HTMLResponse:
    """The page as a response, in the visitor's language.

    Templates get `_` (the Words of the language), `visit` (None where the error came before the
    sign-in was read), `form_token`, `here` (the address to come back to), `typed` (what was sent
    here and refused, nothing of any other form), `done` (whether the form that led here was carried
    out) and the values given.
    `token` is a new secret for the browser, with which the forms of this page agree.
    """
    site = site_of(request)
    words = site.words[language_of(request)]
    cookie = token_cookie(request)
    known = request.cookies.get(cookie)
    fresh = token or (None if known else new_token())
    visit: Visit | None = getattr(request.state, "visit", None)
    is_next = request.method == "GET" and DONE_COOKIE in request.cookies
    content = site.templates.get_template(template).render(
        _=words,
        visit=visit,
        form_token=form_token(fresh or known or ""),
        template=template,
        here=_here(request),
        done=is_next and status == HTTPStatus.OK,
        **{"typed": typed_into(request)} | values,
    )
    response = HTMLResponse(content, status)
    if is_next:
        response.delete_cookie(DONE_COOKIE, path="/")
    if fresh is not None:
        # Signed in or not, a browser has a secret of its own, which its forms are tied to.
        set_token(request, response, fresh)
    return response


def _here(request: Request) -> str:
    """The address of the page, with what was asked; of the page whose form was sent."""
    address = str(request.url) if request.method == "GET" else request.headers.get("referer", "")
    try:
        url = urlsplit(address)
    except ValueError:  # whatever a browser may say
        return "/"
    return f"{url.path}?{url.query}" if url.query else url.path or "/"


class Typed(dict[str, str]):
    """What was typed into the form that came with a request, by name; the rest is empty."""

    def __missing__(self, name: str) -> str:
        return ""


def typed_into(request: Request) -> Typed:
    """What the guard of the route has read (see web.access); nothing where nothing was sent."""
    form: Mapping[str, object] = getattr(request.state, "form", {})
    return Typed({name: value for name, value in form.items() if isinstance(value, str)})


def set_token(request: Request, response: HTMLResponse | RedirectResponse, token: str) -> None:
    """Give the browser its secret until it is closed; the server ends sessions by itself."""
    response.set_cookie(
        token_cookie(request),
        token,
        path="/",
        httponly=True,
        samesite="lax",
        secure=is_secure(request),
    )
