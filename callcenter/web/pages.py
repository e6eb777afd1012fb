"""Pages of the site itself: sign-in and out, the language, the start, and the static files."""

import re
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from callcenter.web import sign_in as rule
from callcenter.web.access import needs
from callcenter.web.errors import NotFound, SignInRefused, TooManyTries, status_of
from callcenter.web.passwords import LONGEST
from callcenter.web.permissions import Permission
from callcenter.web.rendering import page, set_token
from callcenter.web.site import (
    LANGUAGE_COOKIE,
    CurrentSite,
    CurrentVisit,
    is_secure,
    site_of,
    token_cookie,
)

SEE_OTHER = 303
A_YEAR = 31_536_000

#: An address of our own: nothing that a browser could take for another site.
OUR_OWN = re.compile(r"/(?:[A-Za-z0-9._~-][A-Za-z0-9/._~=&?%+-]{0,2000})?")

router = APIRouter(include_in_schema=False)


def ours(address: str) -> str:
    """The address to go to if it is one of ours, else the start page."""
    return address if OUR_OWN.fullmatch(address) else "/"


@router.get("/", dependencies=[needs(Permission.SIGNED_IN)])
async def start(request: Request, visit: CurrentVisit) -> Response:
    """Straight to the work, if the role has any here."""
    if visit.may(Permission.VIEW_APPEALS):
        return RedirectResponse("/appeals", SEE_OTHER)
    if visit.may(Permission.VIEW_LIVE):
        return RedirectResponse("/live", SEE_OTHER)
    if visit.may(Permission.FILE_DEMANDS):
        return RedirectResponse("/authority/demands", SEE_OTHER)
    return page(request, "web/start.html")


@router.get("/sign-in", dependencies=[needs(Permission.OPEN)])
async def sign_in_form(request: Request, visit: CurrentVisit, back: str = "/") -> Response:
    if visit.user is not None:
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
    """The ways to sign in; `error` says in one word why the last one led nowhere."""
    site = site_of(request)
    return page(
        request,
        "web/sign_in.html",
        status=status,
        token=token,
        back=back,
        error=error,
        by_provider=site.by_provider is not None,
        passwords_for_few=site.settings.password_names is not None,
    )


@router.post("/sign-in", dependencies=[needs(Permission.OPEN)])
async def sign_in(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
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
            address=visit.address,
        )
    except (SignInRefused, TooManyTries) as refusal:
        error = "locked" if isinstance(refusal, TooManyTries) else "refused"
        return sign_in_page(request, back=ours(back), error=error, status=status_of(refusal))
    back = ours(back)
    onward = back if whole else f"/second-factor?{urlencode({'back': back})}"
    response = RedirectResponse(onward, SEE_OTHER)
    # A new secret at every sign-in: one that was planted before is worth nothing after.
    set_token(request, response, token)
    return response


@router.post("/sign-out", dependencies=[needs(Permission.SIGNED_IN)])
async def sign_out(request: Request, site: CurrentSite, visit: CurrentVisit) -> Response:
    cookie = token_cookie(request)
    is_known_there = False
    if visit.user is not None:
        is_known_there = await rule.sign_out(
            site.engine, user=visit.user, token=request.cookies[cookie], address=visit.address
        )
    response = RedirectResponse("/signed-out" if is_known_there else "/sign-in", SEE_OTHER)
    response.delete_cookie(cookie, path="/", httponly=True, secure=is_secure(request))
    return response


@router.post("/language", dependencies=[needs(Permission.OPEN)])
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


@router.get("/static/{name}", dependencies=[needs(Permission.OPEN)])
async def static(site: CurrentSite, name: str) -> Response:
    asset = site.assets.get(name)
    if asset is None:
        raise NotFound
    return Response(
        asset.content,
        media_type=asset.media_type,
        headers={"Cache-Control": f"public, max-age={A_YEAR}, immutable"},
    )
