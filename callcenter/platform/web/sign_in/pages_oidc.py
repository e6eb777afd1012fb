"""Pages of sign-in by the organisation's provider, and the page after sign-out."""

import logging
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from callcenter.platform.core.errors import InvalidRequest, ProviderRefused, RateLimited
from callcenter.platform.identity import login_throttle, oidc_sign_in, oidc_state
from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.oidc_client import InvalidOidcResponse, ProviderUnavailable
from callcenter.platform.identity.oidc_sign_in import BACK, OidcSignIn
from callcenter.platform.identity.permissions import SessionPermission
from callcenter.platform.identity.sessions import new_token
from callcenter.platform.identity.sign_in_attempts import Visitor
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import (
    AppContext,
    CurrentActor,
    CurrentSite,
    token_cookie,
    visitor_of,
)
from callcenter.platform.web.errors import status_of
from callcenter.platform.web.page_actions import SEE_OTHER
from callcenter.platform.web.sign_in import browser_recognition
from callcenter.platform.web.sign_in.pages import ours, sign_in_page
from callcenter.platform.web.templating import page, set_token

log = logging.getLogger(__name__)

router = APIRouter(include_in_schema=False, dependencies=[requires(SessionPermission.OPEN)])


def oidc_of(site: AppContext) -> OidcSignIn:
    """The configured provider. Raises InvalidRequest where there is none."""
    if site.oidc is None:
        raise InvalidRequest("no organisation's sign-in is set up here: sign in with a password")
    return site.oidc


@router.get("/sign-in/provider")
async def to_provider(
    request: Request, site: CurrentSite, actor: CurrentActor, back: str = "/"
) -> Response:
    """Redirect to the provider. A link and not a form: forms of ours lead nowhere else."""
    provider = oidc_of(site).provider
    if actor.user is not None:
        return RedirectResponse(ours(back), SEE_OTHER)
    token = new_token()
    state = oidc_state.new_state(token, ours(back), datetime.now(UTC))
    try:
        address = await provider.sign_in_address(
            state=state,
            nonce=oidc_state.nonce_of(token, state),
            verifier=oidc_state.verifier_of(token, state),
        )
    except ProviderUnavailable as exc:
        log.warning("sign-in provider unavailable: %s", exc)
        return sign_in_page(request, back=ours(back), error="away", status=status_of(exc))
    response = RedirectResponse(address, SEE_OTHER)
    set_token(request, response, token)
    return response


@router.get(BACK)
async def from_provider(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    state: Annotated[str, Query(max_length=1000)] = "",
    code: Annotated[str, Query(max_length=4000)] = "",
    iss: Annotated[str | None, Query(max_length=1000)] = None,
    error: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Return from the provider, with a code that is valid once."""
    oidc_of(site)
    if actor.user is not None:
        return RedirectResponse("/", SEE_OTHER)
    try:
        await login_throttle.check(site.engine, name=None, visitor=visitor_of(request))
    except RateLimited as refusal:
        return sign_in_page(request, error="locked", status=status_of(refusal))
    token = request.cookies.get(token_cookie(request), "")
    try:
        back = oidc_state.back_of(token, state, datetime.now(UTC))
    except InvalidRequest:
        return await _refused(request, site, actor, "out_of_date")
    if error or not code:
        return await _refused(request, site, actor, "cancelled")
    try:
        entered, whole = await _enter(site, visitor_of(request), token, state, code, iss)
    except InvalidOidcResponse as wrong:
        log.warning("sign-in refused: the provider's answer is invalid: %s", wrong)
        return await _refused(request, site, actor, "not_believed")
    except ProviderUnavailable as exc:
        log.warning("sign-in provider unavailable: %s", exc)
        return sign_in_page(request, error="away", status=status_of(exc), token=new_token())
    except ProviderRefused as refusal:
        return sign_in_page(
            request, error=refusal.why, status=status_of(refusal), token=new_token()
        )
    onward = ours(back) if whole else f"/second-factor?{urlencode({'back': ours(back)})}"
    response = RedirectResponse(onward, SEE_OTHER)
    set_token(request, response, entered)
    if whole:
        await browser_recognition.remember(request, response, entered)
    return response


@router.get("/signed-out")
async def signed_out(request: Request, site: CurrentSite) -> Response:
    """The page after sign-out; the browser goes on to sign out at the provider."""
    leaving = None
    if site.oidc is not None:
        try:
            leaving = await site.oidc.provider.sign_out_address(site.oidc.signed_out_address)
        except ProviderUnavailable:
            leaving = None
    response = page(request, "web/signed_out.html", leaving=leaving)
    if leaving is not None:
        # Not by a redirect of the form, which our policy would not let leave the site.
        response.headers["Refresh"] = f"0; url={leaving}"
    return response


async def _enter(
    site: AppContext, visitor: Visitor, token: str, state: str, code: str, iss: str | None
) -> tuple[str, bool]:
    """Exchange the code and sign in, as `oidc_sign_in.sign_in_by_provider`.

    Raises InvalidOidcResponse, ProviderUnavailable, ProviderRefused.
    """
    by = oidc_of(site)
    confirmation = await by.provider.exchange(
        code,
        issuer=iss,
        nonce=oidc_state.nonce_of(token, state),
        verifier=oidc_state.verifier_of(token, state),
    )
    return await oidc_sign_in.sign_in_by_provider(
        site.engine, by, site.demanding, confirmation, visitor
    )


async def _refused(request: Request, site: AppContext, actor: Actor, why: str) -> Response:
    """The sign-in page with the reason of a refusal; the browser's secret is renewed."""
    await oidc_sign_in.refuse(site.engine, oidc_of(site), None, why, actor.address)
    refusal = ProviderRefused(why)
    return sign_in_page(request, error=why, status=status_of(refusal), token=new_token())
