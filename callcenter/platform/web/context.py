"""The application context and the actor of a request."""

import gzip
import hashlib
import hmac
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from jinja2 import Environment
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import Request

from callcenter.platform.core.i18n import Translator, choose_language
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity import api_clients, store
from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.oidc_sign_in import OidcSignIn
from callcenter.platform.identity.passwords import Passwords
from callcenter.platform.identity.permissions import Permission, Role
from callcenter.platform.identity.second_factor import SecondFactors
from callcenter.platform.identity.sign_in_attempts import Visitor
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.notify_listener import NotifyListener
from callcenter.platform.web.guides import Guide
from callcenter.platform.web.open_streams import OpenStreams

LANGUAGE_COOKIE = "callcenter_language"
DONE_COOKIE = "callcenter_done"  # what was sent is done: the next page says so, once


@dataclass(frozen=True)
class MenuEntry:
    """A link of the menu, for those who have its permission, in the order of the numbers.

    It is the current one below its own path and `beside`, where no other is closer; `more`: it
    stands folded in.
    People begin at the first that `starts` and is permitted to them.
    """

    order: int
    path: str
    label: str
    permission: Permission
    beside: str | None = None
    more: bool = False
    starts: bool = False


#: What the web process runs beside its pages until it ends; a loop that fails ends the process.
WebLoop = Callable[["AppContext"], Coroutine[Any, Any, None]]


@dataclass(frozen=True)
class WebModule:
    """The web part of a room: routes, templates as `name/...`, guides, static files and loops.

    Paths are complete in the routers (no prefix), so that a search finds them as they are typed.
    Static files are scripts that this room alone uses, and pictures of its guides; no two rooms
    have one of the same name.
    Forms below the paths of `plain_to_see` lead to pages that show by themselves what was done.
    """

    name: str
    routers: tuple[APIRouter, ...]
    templates: Path | None = None
    menu: tuple[MenuEntry, ...] = ()
    static: Path | None = None
    plain_to_see: tuple[str, ...] = ()
    guides: tuple[Guide, ...] = ()
    loops: tuple[WebLoop, ...] = ()


@dataclass(frozen=True)
class Asset:
    """A static file, cached for ever by browsers: its address holds its hash."""

    content: bytes
    media_type: str
    version: str

    @cached_property
    def gzipped(self) -> bytes:
        """The content compressed by gzip (RFC 1952), when it is first asked for."""
        return gzip.compress(self.content, mtime=0)


@dataclass(frozen=True)
class AppContext:
    """The parts of the application that live as long as the process."""

    settings: Settings
    engine: AsyncEngine
    redis: Redis
    templates: Environment
    words: Mapping[str, Translator]
    assets: Mapping[str, Asset]
    menu: Sequence[MenuEntry]
    guides: Mapping[str, Guide]  # by the template of the page
    factors: SecondFactors
    demanding: frozenset[Role]  # a second factor
    oidc: OidcSignIn | None  # how an organisation's people sign in
    listener: NotifyListener
    streams: OpenStreams
    passwords: Passwords = field(default_factory=Passwords)


def site_of(request: Request) -> AppContext:
    """The application context of this request."""
    site: AppContext = request.app.state.site
    return site


def is_secure(request: Request) -> bool:
    """Whether cookies require HTTPS: always, except for plain HTTP on loopback.

    A proxy there may not say that browsers come by HTTPS: PUBLIC_URL does, whatever it says.
    """
    settings = site_of(request).settings
    if (settings.public_url or "").startswith("https:"):
        return True
    return not (settings.web_address.is_loopback and request.url.scheme == "http")


def token_cookie(request: Request) -> str:
    """The name of the cookie with the browser's secret, signed in or not."""
    # `__Host-`: set by this host, over HTTPS, for all of it; no neighbour can plant one.
    return "__Host-callcenter" if is_secure(request) else "callcenter"


def device_cookie(request: Request) -> str:
    """The name of the cookie by which a browser is known in which somebody signed in before."""
    return f"{token_cookie(request)}_device"


def visitor_of(request: Request) -> Visitor:
    """Where the sign-in of this request comes from."""
    return Visitor(address_of(request), request.cookies.get(device_cookie(request), "")[:100])


def form_token(token: str) -> str:
    """The token that proves that a form came from a page of ours to this browser."""
    return hmac.new(token.encode(), b"form", hashlib.sha256).hexdigest()


def language_of(request: Request) -> str:
    """The language for this request; see i18n.choose_language."""
    remembered = request.cookies.get(LANGUAGE_COOKIE)
    return choose_language(remembered, request.headers.get("accept-language", ""))


def address_of(request: Request) -> str:
    """The IP address of the client (as given by a proxy on loopback, if there is one)."""
    return request.client.host if request.client else "unknown"


def bearer_of(request: Request) -> str | None:
    """The bearer token of an API client (RFC 6750, 2.1); it overrides the cookie."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


async def read_actor(request: Request) -> Actor:
    """The actor of this request, read once.

    Raises DependencyUnavailable when the database is not there.
    """
    cached: Actor | None = getattr(request.state, "actor", None)
    if cached is not None:
        return cached
    bearer, token = bearer_of(request), request.cookies.get(token_cookie(request))
    user = pending = client = None
    if bearer is not None:
        async with unit_of_work(site_of(request).engine) as connection:
            client = await api_clients.of_token(connection, bearer)
    elif token:
        async with unit_of_work(site_of(request).engine) as connection:
            user = await store.user_of_session(connection, token)
            if user is None:
                pending = await store.user_of_entrance(connection, token)
    actor = Actor(user, address_of(request), pending)
    if client is not None:
        actor = replace(actor, machine=client.name, scopes=client.scopes)
    request.state.actor = actor
    return actor


CurrentSite = Annotated[AppContext, Depends(site_of)]
CurrentActor = Annotated[Actor, Depends(read_actor)]
