"""The page of an invitation: choose a password by a link."""

from typing import Annotated

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import Response

from callcenter.platform.core.errors import InvalidRequest, RateLimited
from callcenter.platform.identity import invitations
from callcenter.platform.identity.invitations import InvitationClosed
from callcenter.platform.identity.passwords import LONGEST, SHORTEST
from callcenter.platform.identity.permissions import SessionPermission
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import AppContext, CurrentSite, visitor_of
from callcenter.platform.web.errors import status_of
from callcenter.platform.web.sign_in.pages import enter
from callcenter.platform.web.templating import page

router = APIRouter(include_in_schema=False, dependencies=[requires(SessionPermission.OPEN)])


@router.get("/invitations/{token}")
async def form(request: Request, site: CurrentSite, token: str) -> Response:
    """The form. Looking uses nothing up: programs that check mail open links too."""
    return await _page(request, site, token)


@router.post("/invitations/{token}")
async def accept(
    request: Request,
    site: CurrentSite,
    token: str,
    name: Annotated[str, Form(max_length=200)] = "",
    new: Annotated[str, Form(max_length=2 * LONGEST)] = "",
    again: Annotated[str, Form(max_length=2 * LONGEST)] = "",
) -> Response:
    """Choose the password, and be signed in; or show the form again with the error."""
    try:
        if new != again:
            raise InvalidRequest("the password was typed in two ways: type it again")
        cookie, is_whole = await invitations.accept(
            site.engine,
            site.passwords,
            site.demanding,
            token=token,
            name=name.strip().lower(),
            password=new,
            visitor=visitor_of(request),
        )
    except InvalidRequest as refusal:
        return await _page(request, site, token, refusal)
    return await enter(request, cookie, is_whole=is_whole)


async def _page(
    request: Request, site: AppContext, token: str, refusal: InvalidRequest | None = None
) -> Response:
    try:
        name = (await invitations.find(site.engine, token)).name
    except InvitationClosed as closed:
        error = refusal if isinstance(refusal, RateLimited) else closed
        return page(request, "web/invitation.html", status=status_of(error), is_closed=True)
    return page(
        request,
        "web/invitation.html",
        status=200 if refusal is None else status_of(refusal),
        is_closed=False,
        name=name,
        shortest=SHORTEST,
        is_refused=refusal is not None,
    )
