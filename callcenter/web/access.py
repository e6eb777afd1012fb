"""Default deny: every route names one permission, or the application does not start."""

import hmac
from collections.abc import Iterator
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.requests import Request

from callcenter.errors import WeFailed
from callcenter.web.errors import Forbidden, SignInNeeded
from callcenter.web.permissions import Permission
from callcenter.web.site import bearer_of, form_token, read_visit, token_cookie

READING = frozenset({"GET", "HEAD", "OPTIONS"})
TOKEN_HEADER = "X-Form-Token"  # noqa: S105 - the name of a header: a request in JSON has no form


class Demand:
    """The guard of a route: what a request must have before any code of the route runs."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    async def __call__(self, request: Request) -> None:
        """Raises SignInNeeded or Forbidden; a request that changes something also needs the
        token of a form of ours (so that no other site can act for the person), unless it carries
        a machine's token, which no browser adds by itself."""
        if request.method not in READING and bearer_of(request) is None:
            await _check_form_token(request)
        if self.permission is Permission.OPEN:
            return
        visit = await read_visit(request)
        if not visit.may(self.permission):
            known = visit.user is not None or visit.machine is not None
            raise Forbidden if known else SignInNeeded


def needs(permission: Permission) -> Any:
    """For `dependencies=[needs(...)]` of a route."""
    return Depends(Demand(permission))


async def _check_form_token(request: Request) -> None:
    token = request.cookies.get(token_cookie(request))
    sent: object = request.headers.get(TOKEN_HEADER)
    if not sent:
        request.state.form = await request.form()  # a page that refuses it shows it again
        sent = request.state.form.get("form_token")
    if not token or not isinstance(sent, str):
        raise Forbidden("this form is not from our page, or cookies are off: open the page again")
    if not hmac.compare_digest(sent.encode(), form_token(token).encode()):
        raise Forbidden("this form is out of date: open the page again")


def demands(app: FastAPI) -> Iterator[tuple[str, frozenset[str], Permission]]:
    """Path, methods and permission of every route, included ones too.

    Raises WeFailed that names a route without exactly one permission, or of a kind that cannot
    carry one.
    """
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if not isinstance(route, APIRoute):
            raise WeFailed(f"route {getattr(route, 'path', route)} cannot carry a permission")
        permissions = list(_permissions(route.dependant))
        if len(permissions) != 1:
            raise WeFailed(
                f"route {route.path} names {len(permissions)} permissions: "
                "give it one by dependencies=[needs(...)]"
            )
        yield route.path, frozenset(route.methods or ()), permissions[0]


def _permissions(dependant: Dependant) -> Iterator[Permission]:
    for dependency in dependant.dependencies:
        if isinstance(dependency.call, Demand):
            yield dependency.call.permission
        yield from _permissions(dependency)
