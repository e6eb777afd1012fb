"""Authorization by default deny: each route requires one permission, or nothing starts."""

import hmac
from collections.abc import Iterator
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.requests import Request

from callcenter.platform.core.errors import Forbidden, OperationFailed, SignInNeeded
from callcenter.platform.identity.permissions import Permission, SessionPermission
from callcenter.platform.web.context import bearer_of, form_token, read_actor, token_cookie

READING = frozenset({"GET", "HEAD", "OPTIONS"})
TOKEN_HEADER = "X-Form-Token"  # noqa: S105 - the name of a header: a request in JSON has no form


class FormRefused(Forbidden):
    """This form is not from our page, or out of date: open the page again."""


class RequirePermission:
    """The guard of a route, checked before any of its code runs."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    async def __call__(self, request: Request) -> None:
        """Check permission and form token. Raises SignInNeeded, FormRefused or Forbidden.

        A request that changes something needs the token of a form of ours (so that no other site
        can act for the person), unless it carries an API client's token, which no browser adds by
        itself.
        """
        if request.method not in READING and bearer_of(request) is None:
            await _check_form_token(request)
        if self.permission is SessionPermission.OPEN:
            return
        actor = await read_actor(request)
        if not actor.may(self.permission):
            is_signed_in = actor.user is not None or actor.machine is not None
            raise Forbidden if is_signed_in else SignInNeeded


def requires(permission: Permission) -> Any:
    """The guard for `dependencies=[requires(...)]` of a route."""
    return Depends(RequirePermission(permission))


async def _check_form_token(request: Request) -> None:
    token = request.cookies.get(token_cookie(request))
    sent: object = request.headers.get(TOKEN_HEADER)
    if not sent:
        request.state.form = await request.form()  # a page that refuses it shows it again
        sent = request.state.form.get("form_token")
    if not token or not isinstance(sent, str):
        raise FormRefused("this form is not from our page, or cookies are off: open the page again")
    if not hmac.compare_digest(sent.encode(), form_token(token).encode()):
        raise FormRefused("this form is out of date: open the page again")


def route_permissions(app: FastAPI) -> Iterator[tuple[str, frozenset[str], Permission]]:
    """Path, methods and permission of every route, included ones too.

    Raises OperationFailed that names a route without exactly one permission, or of a kind that
    cannot carry one.
    """
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if not isinstance(route, APIRoute):
            raise OperationFailed(
                f"route {getattr(route, 'path', route)} cannot carry a permission"
            )
        permissions = list(_permissions(route.dependant))
        if len(permissions) != 1:
            raise OperationFailed(
                f"route {route.path} names {len(permissions)} permissions: "
                "give it one by dependencies=[requires(...)]"
            )
        yield route.path, frozenset(route.methods or ()), permissions[0]


def _permissions(dependant: Dependant) -> Iterator[Permission]:
    for dependency in dependant.dependencies:
        if isinstance(dependency.call, RequirePermission):
            yield dependency.call.permission
        yield from _permissions(dependency)
