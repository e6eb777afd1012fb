"""The page of the second factor: to prove it, to set it up, to see that it is there."""

from typing import Annotated

import segno
from fastapi import APIRouter, Form
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from callcenter.web import codes, store
from callcenter.web.access import needs
from callcenter.web.errors import CodeRefused, SignInNeeded, TooManyTries, status_of
from callcenter.web.pages import SEE_OTHER, ours
from callcenter.web.permissions import Permission
from callcenter.web.rendering import page, set_token
from callcenter.web.site import CurrentSite, CurrentVisit, Site, Visit, token_cookie

router = APIRouter(include_in_schema=False)


@router.get("/second-factor", dependencies=[needs(Permission.ENTERING)])
async def second_factor(
    request: Request, site: CurrentSite, visit: CurrentVisit, back: str = "/"
) -> Response:
    """What is to be done: type a code, or set the factor up; or that it is set up."""
    user = person(visit)
    left = await site.factors.codes_left(user.id)
    if left is None:
        return await enrolment(request, site, user, site.factors.propose(user), back)
    if visit.user is None:
        return page(request, "web/code.html", back=ours(back), error=None)
    return page(request, "web/second_factor.html", left=left)


@router.post("/second-factor", dependencies=[needs(Permission.ENTERING)])
async def take_code(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    code: Annotated[str, Form(max_length=40)] = "",
    proposed: Annotated[str, Form(max_length=400)] = "",
    back: Annotated[str, Form()] = "/",
) -> Response:
    """A code: of the factor that is proposed, or of the one that the person has."""
    user = person(visit)
    if proposed:
        return await enroll(request, site, visit, proposed, code, back)
    entrance = entrance_of(request, visit)
    if entrance is None:
        return RedirectResponse("/second-factor", SEE_OTHER)
    try:
        token = await site.factors.prove(user, typed=code, entrance=entrance, address=visit.address)
    except (CodeRefused, TooManyTries) as refusal:
        error = "locked" if isinstance(refusal, TooManyTries) else "refused"
        status = status_of(refusal)
        return page(request, "web/code.html", status=status, back=ours(back), error=error)
    response = RedirectResponse(ours(back), SEE_OTHER)
    set_token(request, response, token)
    return response


async def enroll(
    request: Request, site: Site, visit: Visit, proposed: str, code: str, back: str
) -> Response:
    """The recovery codes, or the form once more, with the secret that the telephone has."""
    user = person(visit)
    try:
        made, token = await site.factors.enroll(
            user,
            proposed=proposed,
            typed=code,
            entrance=entrance_of(request, visit),
            address=visit.address,
        )
    except CodeRefused as refusal:
        return await enrolment(request, site, user, proposed, back, refusal)
    shown = [codes.in_groups(each, "-") for each in made]
    return page(request, "web/recovery_codes.html", token=token, codes=shown, back=ours(back))


async def enrolment(
    request: Request,
    site: Site,
    user: store.User,
    proposed: str,
    back: str,
    refusal: CodeRefused | None = None,
) -> Response:
    """The form that sets a second factor up."""
    secret = site.factors.secret_of(user, proposed)
    address = codes.address_for_telephones(secret, user.name)
    drawn = segno.make(address, error="m", micro=False).svg_inline(omitsize=True, light="#fff")
    return page(
        request,
        "web/enrolment.html",
        status=200 if refusal is None else status_of(refusal),
        qr=Markup(drawn),  # noqa: S704 - drawn by us: squares
        secret=codes.in_groups(secret),
        proposed=proposed,
        back=ours(back),
        refused=refusal is not None,
        must=user.role in site.demanding,
    )


def entrance_of(request: Request, visit: Visit) -> str | None:
    """The token of somebody who is about to be signed in; None for who is."""
    return request.cookies[token_cookie(request)] if visit.user is None else None


def person(visit: Visit) -> store.User:
    """Who is signed in, or about to be."""
    user = visit.user or visit.entering
    if user is None:
        raise SignInNeeded
    return user
