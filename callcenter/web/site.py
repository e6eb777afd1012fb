"""What every request may use: the site, and the visit that a request is part of."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends
from jinja2 import Environment
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import Request

from callcenter.settings import Settings
from callcenter.storage.engine import unit_of_work
from callcenter.web import machines, store
from callcenter.web.by_provider import ByProvider
from callcenter.web.passwords import Passwords
from callcenter.web.permissions import ENTERING, GRANTS, MACHINE, VISITOR, Permission, Role
from callcenter.web.second_factor import Factors
from callcenter.web.words import Words, choose_language

LANGUAGE_COOKIE = "callcenter_language"
DONE_COOKIE = "callcenter_done"  # what was sent is done: the next page says so, once


@dataclass(frozen=True)
class Room:
    """What a room of the house adds to the site: its routes, and its templates as `name/...`.

    Paths are complete in the routers (no prefix), so that a search finds them as they are typed.
    """

    name: str
    routers: tuple[APIRouter, ...]
    templates: Path | None = None


@dataclass(frozen=True)
class Asset:
    """A file that browsers may keep for ever, because its address holds its hash."""

    content: bytes
    media_type: str
    version: str


@dataclass(frozen=True)
class Site:
    """The parts of the site that live as long as the process."""

    settings: Settings
    engine: AsyncEngine
    redis: Redis
    templates: Environment
    words: Mapping[str, Words]
    assets: Mapping[str, Asset]
    factors: Factors
    demanding: frozenset[Role]  # a second factor
    by_provider: ByProvider | None  # how an organisation's people sign in
    passwords: Passwords = field(default_factory=Passwords)


def site_of(request: Request) -> Site:
    """The site that this request came to."""
    site: Site = request.app.state.site
    return site


def is_secure(request: Request) -> bool:
    """Whether cookies are kept to HTTPS: always, except for plain HTTP on loopback."""
    loopback = site_of(request).settings.web_address.is_loopback
    return not (loopback and request.url.scheme == "http")


def token_cookie(request: Request) -> str:
    """The name of the cookie with the secret of a browser: signed in or not yet."""
    # `__Host-`: set by this host, over HTTPS, for all of it; no neighbour can plant one.
    return "__Host-callcenter" if is_secure(request) else "callcenter"


def form_token(token: str) -> str:
    """What a form must carry to prove that it came from a page of ours to this browser."""
    return hmac.new(token.encode(), b"form", hashlib.sha256).hexdigest()


def language_of(request: Request) -> str:
    """The language for this request; see words.choose_language."""
    remembered = request.cookies.get(LANGUAGE_COOKIE)
    return choose_language(remembered, request.headers.get("accept-language", ""))


def address_of(request: Request) -> str:
    """The IP address of the browser (of the proxy's client, when a proxy on loopback says so)."""
    return request.client.host if request.client else "unknown"


def bearer_of(request: Request) -> str | None:
    """The token of a machine (RFC 6750, 2.1): who sends one is that, whatever the cookie says."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


@dataclass(frozen=True)
class Visit:
    """Who came, from where: one request. `user` is None for somebody who is not signed in.

    `entering` gave the password and owes the second factor. `machine` is the name of a program.
    """

    user: store.User | None
    address: str
    entering: store.User | None = None
    machine: str | None = None

    @property
    def who(self) -> str:
        """For the audit log."""
        if self.machine is not None:
            return f"machine:{self.machine}"
        return f"user:{self.user.name}" if self.user else "anonymous"

    def may(self, permission: Permission) -> bool:
        """Whether the role of the person, or the machine, has this permission."""
        if self.machine is not None:
            return permission in MACHINE
        if self.user is None:
            return permission in (ENTERING if self.entering else VISITOR)
        return permission in GRANTS[self.user.role]


async def read_visit(request: Request) -> Visit:
    """The visit of this request, read once. Raises NotReady when the database is not there."""
    known: Visit | None = getattr(request.state, "visit", None)
    if known is not None:
        return known
    bearer, token = bearer_of(request), request.cookies.get(token_cookie(request))
    user = entering = machine = None
    if bearer is not None:
        async with unit_of_work(site_of(request).engine) as connection:
            machine = await machines.of_token(connection, bearer)
    elif token:
        async with unit_of_work(site_of(request).engine) as connection:
            user = await store.user_of_session(connection, token)
            if user is None:
                entering = await store.user_of_entrance(connection, token)
    visit = Visit(user, address_of(request), entering, machine)
    request.state.visit = visit
    return visit


CurrentSite = Annotated[Site, Depends(site_of)]
CurrentVisit = Annotated[Visit, Depends(read_visit)]
