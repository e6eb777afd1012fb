"""The page of one's own password."""

from typing import Annotated

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from callcenter.errors import AskedWrongly
from callcenter.web import own_password
from callcenter.web.access import needs
from callcenter.web.errors import TooManyTries, status_of
from callcenter.web.own_password import WrongPassword
from callcenter.web.pages import SEE_OTHER
from callcenter.web.pages_second_factor import person
from callcenter.web.passwords import LONGEST, SHORTEST
from callcenter.web.permissions import Permission
from callcenter.web.rendering import page, set_token
from callcenter.web.site import CurrentSite, CurrentVisit

router = APIRouter(include_in_schema=False, dependencies=[needs(Permission.SIGNED_IN)])


@router.get("/password")
async def form(request: Request, visit: CurrentVisit, changed: bool = False) -> Response:
    """The form, or that it is done."""
    return _page(request, visit, changed=changed)


@router.post("/password")
async def change(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    old: Annotated[str, Form(max_length=LONGEST)] = "",
    new: Annotated[str, Form(max_length=2 * LONGEST)] = "",
    again: Annotated[str, Form(max_length=2 * LONGEST)] = "",
) -> Response:
    """Change it; this browser stays signed in, all others do not."""
    try:
        if new != again:
            raise AskedWrongly("the new password was typed in two ways: type it again")
        token = await own_password.change(
            site.engine, site.passwords, person(visit), old=old, new=new, address=visit.address
        )
    except AskedWrongly as refusal:
        return _page(request, visit, refusal)
    response = RedirectResponse("/password?changed=true", SEE_OTHER)
    set_token(request, response, token)
    return response


def _page(
    request: Request,
    visit: CurrentVisit,
    refusal: AskedWrongly | None = None,
    *,
    changed: bool = False,
) -> Response:
    errors: dict[type[AskedWrongly], str] = {WrongPassword: "old", TooManyTries: "locked"}
    return page(
        request,
        "web/password.html",
        status=200 if refusal is None else status_of(refusal),
        error=None if refusal is None else errors.get(type(refusal), "new"),
        changed=changed,
        has_password=bool(person(visit).password_hash),
        shortest=SHORTEST,
    )
