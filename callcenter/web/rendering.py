"""From a template and values to a page in the visitor's language."""

import hashlib
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, PrefixLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse

from callcenter.errors import WeFailed
from callcenter.web.permissions import Permission
from callcenter.web.sessions import new_token
from callcenter.web.site import (
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
    sign-in was read), `form_token`, `here` (the address to come back to) and the values given.
    `token` is a new secret for the browser, with which the forms of this page agree.
    """
    site = site_of(request)
    words = site.words[language_of(request)]
    cookie = token_cookie(request)
    known = request.cookies.get(cookie)
    fresh = token or (None if known else new_token())
    visit: Visit | None = getattr(request.state, "visit", None)
    content = site.templates.get_template(template).render(
        _=words,
        visit=visit,
        form_token=form_token(fresh or known or ""),
        here=request.url.path if request.method == "GET" else "/",
        **values,
    )
    response = HTMLResponse(content, status)
    if fresh is not None:
        # Signed in or not, a browser has a secret of its own, which its forms are tied to.
        set_token(request, response, fresh)
    return response


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
