"""The way to the organisation's sign-in and back, and the page after signing out."""

import logging
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from callcenter.errors import AskedWrongly
from callcenter.web import by_provider, handshake, lock_out
from callcenter.web.access import needs
from callcenter.web.by_provider import BACK, ByProvider
from callcenter.web.errors import ProviderRefused, TooManyTries, status_of
from callcenter.web.pages import SEE_OTHER, ours, sign_in_page
from callcenter.web.permissions import Permission
from callcenter.web.provider import NotBelieved, ProviderAway
from callcenter.web.rendering import page, set_token
from callcenter.web.sessions import new_token
from callcenter.web.site import CurrentSite, CurrentVisit, Site, Visit, token_cookie

log = logging.getLogger(__name__)

router = APIRouter(include_in_schema=False, dependencies=[needs(Permission.OPEN)])


def set_up(site: Site) -> ByProvider:
    """The provider of the settings. Raises AskedWrongly where there is none."""
    if site.by_provider is None:
        raise AskedWrongly("no organisation's sign-in is set up here: sign in with a password")
    return site.by_provider


@router.get("/sign-in/provider")
async def to_provider(
    request: Request, site: CurrentSite, visit: CurrentVisit, back: str = "/"
) -> Response:
    """Off to the provider. A link and not a form: forms of ours lead nowhere else."""
    provider = set_up(site).provider
    if visit.user is not None:
        return RedirectResponse(ours(back), SEE_OTHER)
    token = new_token()
    state = handshake.new_state(token, ours(back), datetime.now(UTC))
    try:
        address = await provider.address(
            state=state,
            nonce=handshake.nonce_of(token, state),
            verifier=handshake.verifier_of(token, state),
        )
    except ProviderAway as away:
        log.warning("the organisation's sign-in cannot be used: %s", away)
        return sign_in_page(request, back=ours(back), error="away", status=status_of(away))
    response = RedirectResponse(address, SEE_OTHER)
    set_token(request, response, token)
    return response


@router.get(BACK)
async def from_provider(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    state: Annotated[str, Query(max_length=1000)] = "",
    code: Annotated[str, Query(max_length=4000)] = "",
    iss: Annotated[str | None, Query(max_length=1000)] = None,
    error: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Back from the provider, with a code that is worth something once."""
    set_up(site)
    if visit.user is not None:
        return RedirectResponse("/", SEE_OTHER)
    try:
        await lock_out.check(site.engine, name=None, address=visit.address)
    except TooManyTries as refusal:
        return sign_in_page(request, error="locked", status=status_of(refusal))
    token = request.cookies.get(token_cookie(request), "")
    try:
        back = handshake.back_of(token, state, datetime.now(UTC))
    except AskedWrongly:
        return await _refused(request, site, visit, "out_of_date")
    if error or not code:
        return await _refused(request, site, visit, "cancelled")
    try:
        entered, whole = await _enter(site, visit, token, state, code, iss)
    except NotBelieved as wrong:
        log.warning("the organisation's sign-in is not believed: %s", wrong)
        return await _refused(request, site, visit, "not_believed")
    except ProviderAway as away:
        log.warning("the organisation's sign-in cannot be used: %s", away)
        return sign_in_page(request, error="away", status=status_of(away), token=new_token())
    except ProviderRefused as refusal:
        return sign_in_page(
            request, error=refusal.why, status=status_of(refusal), token=new_token()
        )
    onward = ours(back) if whole else f"/second-factor?{urlencode({'back': ours(back)})}"
    response = RedirectResponse(onward, SEE_OTHER)
    set_token(request, response, entered)
    return response


@router.get("/signed-out")
async def signed_out(request: Request, site: CurrentSite) -> Response:
    """The session here has ended; the browser goes on to end that at the provider."""
    leaving = None
    if site.by_provider is not None:
        try:
            leaving = await site.by_provider.provider.leaving(site.by_provider.left)
        except ProviderAway:
            leaving = None
    response = page(request, "web/signed_out.html", leaving=leaving)
    if leaving is not None:
        # Not by a redirect of the form, which our policy would not let leave the site.
        response.headers["Refresh"] = f"0; url={leaving}"
    return response


async def _enter(
    site: Site, visit: Visit, token: str, state: str, code: str, iss: str | None
) -> tuple[str, bool]:
    """Who the provider says it is comes in, as `by_provider.enter`.

    Raises NotBelieved, ProviderAway, ProviderRefused.
    """
    by = set_up(site)
    claims = await by.provider.exchange(
        code,
        issuer=iss,
        nonce=handshake.nonce_of(token, state),
        verifier=handshake.verifier_of(token, state),
    )
    return await by_provider.enter(site.engine, by, site.demanding, claims, visit.address)


async def _refused(request: Request, site: Site, visit: Visit, why: str) -> Response:
    """The sign-in once more, saying why; the browser's secret is a new one."""
    await by_provider.refuse(site.engine, set_up(site), None, why, visit.address)
    refusal = ProviderRefused(why)
    return sign_in_page(request, error=why, status=status_of(refusal), token=new_token())
