"""The page to change the own password."""

from typing import Annotated

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from callcenter.platform.core.errors import InvalidRequest, RateLimited
from callcenter.platform.identity import change_password
from callcenter.platform.identity.change_password import WrongPassword
from callcenter.platform.identity.passwords import LONGEST, SHORTEST
from callcenter.platform.identity.permissions import SessionPermission
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentActor, CurrentSite, visitor_of
from callcenter.platform.web.errors import status_of
from callcenter.platform.web.page_actions import SEE_OTHER
from callcenter.platform.web.sign_in import browser_recognition
from callcenter.platform.web.sign_in.pages_second_factor import person
from callcenter.platform.web.templating import page, set_token

router = APIRouter(include_in_schema=False, dependencies=[requires(SessionPermission.SIGNED_IN)])


@router.get("/password")
async def form(request: Request, actor: CurrentActor, changed: bool = False) -> Response:
    """The form, or its confirmation."""
    return _page(request, actor, changed=changed)


@router.post("/password")
async def change(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    old: Annotated[str, Form(max_length=LONGEST)] = "",
    new: Annotated[str, Form(max_length=2 * LONGEST)] = "",
    again: Annotated[str, Form(max_length=2 * LONGEST)] = "",
) -> Response:
    """Change the password; this browser stays signed in, all others do not."""
    try:
        if new != again:
            raise InvalidRequest("the new password was typed in two ways: type it again")
        token = await change_password.change(
            site.engine,
            site.passwords,
            person(actor),
            old=old,
            new=new,
            visitor=visitor_of(request),
        )
    except InvalidRequest as refusal:
        return _page(request, actor, refusal)
    response = RedirectResponse("/password?changed=true", SEE_OTHER)
    set_token(request, response, token)
    await browser_recognition.remember(request, response, token)
    return response


def _page(
    request: Request,
    actor: CurrentActor,
    refusal: InvalidRequest | None = None,
    *,
    changed: bool = False,
) -> Response:
    errors: dict[type[InvalidRequest], str] = {WrongPassword: "old", RateLimited: "locked"}
    return page(
        request,
        "web/password.html",
        status=200 if refusal is None else status_of(refusal),
        error=None if refusal is None else errors.get(type(refusal), "new"),
        changed=changed,
        has_password=bool(person(actor).password_hash),
        shortest=SHORTEST,
    )
