"""Pages of sign-in and sign-out, language, start page and examples."""

import re
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from callcenter.platform.core.errors import RateLimited, SignInRefused
from callcenter.platform.identity import sign_in as rule
from callcenter.platform.identity.passwords import LONGEST
from callcenter.platform.identity.permissions import SessionPermission
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import (
    LANGUAGE_COOKIE,
    CurrentActor,
    CurrentSite,
    is_secure,
    site_of,
    token_cookie,
    visitor_of,
)
from callcenter.platform.web.errors import status_of
from callcenter.platform.web.page_actions import SEE_OTHER
from callcenter.platform.web.sign_in import browser_recognition
from callcenter.platform.web.templating import page, set_token

A_YEAR = 31_536_000

#: An address of our own: nothing that a browser could take for another site.
OUR_OWN = re.compile(r"/(?:[A-Za-z0-9._~-][A-Za-z0-9/._~=&?%+-]{0,2000})?")

router = APIRouter(include_in_schema=False)


def ours(address: str) -> str:
    """The address if it is one of ours, else the start page."""
    return address if OUR_OWN.fullmatch(address) else "/"


@router.get("/", dependencies=[requires(SessionPermission.SIGNED_IN)])
async def start(request: Request, site: CurrentSite, actor: CurrentActor) -> Response:
    """Redirect to the first page of the role, if there is one."""
    for entry in site.menu:
        if entry.starts and actor.may(entry.permission):
            return RedirectResponse(entry.path, SEE_OTHER)
    return page(request, "web/start.html")


@router.get("/sign-in", dependencies=[requires(SessionPermission.OPEN)])
async def sign_in_form(request: Request, actor: CurrentActor, back: str = "/") -> Response:
    if actor.user is not None:
        return RedirectResponse(ours(back), SEE_OTHER)
    return sign_in_page(request, back=ours(back))


def sign_in_page(
    request: Request,
    *,
    back: str = "/",
    error: str | None = None,
    status: int = 200,
    token: str | None = None,
) -> Response:
    """The sign-in page; `error` is the reason of the last failure, in one word."""
    site = site_of(request)
    return page(
        request,
        "web/sign_in.html",
        status=status,
        token=token,
        back=back,
        error=error,
        by_provider=site.oidc is not None,
        passwords_for_few=site.settings.password_names is not None,
    )


@router.post("/sign-in", dependencies=[requires(SessionPermission.OPEN)])
async def sign_in(
    request: Request,
    site: CurrentSite,
    name: Annotated[str, Form(max_length=200)] = "",
    password: Annotated[str, Form(max_length=LONGEST)] = "",
    back: Annotated[str, Form()] = "/",
) -> Response:
    try:
        token, whole = await rule.sign_in(
            site.engine,
            site.passwords,
            site.demanding,
            site.settings.password_names,
            name=name,
            password=password,
            visitor=visitor_of(request),
        )
    except (SignInRefused, RateLimited) as refusal:
        error = "locked" if isinstance(refusal, RateLimited) else "refused"
        return sign_in_page(request, back=ours(back), error=error, status=status_of(refusal))
    return await enter(request, token, is_whole=whole, back=ours(back))


async def enter(request: Request, token: str, *, is_whole: bool, back: str = "/") -> Response:
    """Go on with a session, or with an entrance to the second factor first."""
    onward = back if is_whole else f"/second-factor?{urlencode({'back': back})}"
    response = RedirectResponse(onward, SEE_OTHER)
    # A new secret at every sign-in: one that was planted before is worth nothing after.
    set_token(request, response, token)
    if is_whole:
        await browser_recognition.remember(request, response, token)
    return response


@router.post("/sign-out", dependencies=[requires(SessionPermission.SIGNED_IN)])
async def sign_out(request: Request, site: CurrentSite, actor: CurrentActor) -> Response:
    cookie = token_cookie(request)
    has_external_identity = False
    if actor.user is not None:
        has_external_identity = await rule.sign_out(
            site.engine, user=actor.user, token=request.cookies[cookie], address=actor.address
        )
    response = RedirectResponse("/signed-out" if has_external_identity else "/sign-in", SEE_OTHER)
    response.delete_cookie(cookie, path="/", httponly=True, secure=is_secure(request))
    return response


@router.post("/language", dependencies=[requires(SessionPermission.OPEN)])
async def set_language(
    request: Request,
    language: Annotated[Literal["kk", "ru", "en"], Form()],
    back: Annotated[str, Form()] = "/",
) -> Response:
    response = RedirectResponse(ours(back), SEE_OTHER)
    response.set_cookie(
        LANGUAGE_COOKIE,
        language,
        max_age=A_YEAR,
        path="/",
        httponly=True,
        samesite="lax",
        secure=is_secure(request),
    )
    return response


@router.get("/design", dependencies=[requires(SessionPermission.SIGNED_IN)])
async def examples(request: Request) -> Response:
    """Examples of the design's tokens and components, for whoever adds a page."""
    return page(request, "web/examples.html")
