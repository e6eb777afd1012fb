"""The page of the second factor: enrolment, proof and state."""

from typing import Annotated

import segno
from fastapi import APIRouter, Form
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from callcenter.platform.core.errors import CodeRefused, RateLimited, SignInNeeded
from callcenter.platform.identity import store, totp
from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.permissions import SessionPermission
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
from callcenter.platform.web.sign_in.pages import ours
from callcenter.platform.web.templating import page, set_token

router = APIRouter(include_in_schema=False)


@router.get("/second-factor", dependencies=[requires(SessionPermission.COMPLETE_SIGN_IN)])
async def second_factor(
    request: Request, site: CurrentSite, actor: CurrentActor, back: str = "/"
) -> Response:
    """The form for a code or for enrolment; or the state of the enrolled factor."""
    user = person(actor)
    left = await site.factors.codes_left(user.id)
    if left is None:
        return await enrolment(request, site, user, site.factors.propose(user), back)
    if actor.user is None:
        return page(request, "web/code.html", back=ours(back), error=None)
    return page(request, "web/second_factor.html", left=left)


@router.post("/second-factor", dependencies=[requires(SessionPermission.COMPLETE_SIGN_IN)])
async def take_code(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    code: Annotated[str, Form(max_length=40)] = "",
    proposed: Annotated[str, Form(max_length=400)] = "",
    back: Annotated[str, Form()] = "/",
) -> Response:
    """Check a code of the proposed factor, or of the enrolled one."""
    user = person(actor)
    if proposed:
        return await enroll(request, site, actor, proposed, code, back)
    entrance = entrance_of(request, actor)
    if entrance is None:
        return RedirectResponse("/second-factor", SEE_OTHER)
    try:
        token = await site.factors.prove(
            user, typed=code, entrance=entrance, visitor=visitor_of(request)
        )
    except (CodeRefused, RateLimited) as refusal:
        error = "locked" if isinstance(refusal, RateLimited) else "refused"
        status = status_of(refusal)
        return page(request, "web/code.html", status=status, back=ours(back), error=error)
    response = RedirectResponse(ours(back), SEE_OTHER)
    set_token(request, response, token)
    await browser_recognition.remember(request, response, token)
    return response


async def enroll(
    request: Request, site: AppContext, actor: Actor, proposed: str, code: str, back: str
) -> Response:
    """Show the recovery codes, or the form again with the same secret."""
    user = person(actor)
    try:
        made, token = await site.factors.enroll(
            user,
            proposed=proposed,
            typed=code,
            entrance=entrance_of(request, actor),
            visitor=visitor_of(request),
        )
    except CodeRefused as refusal:
        return await enrolment(request, site, user, proposed, back, refusal)
    shown = [totp.in_groups(each, "-") for each in made]
    response = page(request, "web/recovery_codes.html", token=token, codes=shown, back=ours(back))
    if token is not None:
        await browser_recognition.remember(request, response, token)
    return response


async def enrolment(
    request: Request,
    site: AppContext,
    user: store.User,
    proposed: str,
    back: str,
    refusal: CodeRefused | None = None,
) -> Response:
    """The form of enrolment."""
    secret = site.factors.secret_of(user, proposed)
    address = totp.address_for_telephones(secret, user.name)
    drawn = segno.make(address, error="m", micro=False).svg_inline(omitsize=True, light="#fff")
    return page(
        request,
        "web/enrolment.html",
        status=200 if refusal is None else status_of(refusal),
        qr=Markup(drawn),  # noqa: S704 - drawn by us: squares
        secret=totp.in_groups(secret),
        proposed=proposed,
        back=ours(back),
        refused=refusal is not None,
        must=user.role in site.demanding,
    )


def entrance_of(request: Request, actor: Actor) -> str | None:
    """The token of a sign-in that waits for the second factor, else None."""
    return request.cookies[token_cookie(request)] if actor.user is None else None


def person(actor: Actor) -> store.User:
    """The user signed in, or about to be."""
    user = actor.user or actor.pending
    if user is None:
        raise SignInNeeded
    return user
