"""Health, session and description endpoints of the API."""

import asyncio
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field
from sqlalchemy import exists, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from callcenter.platform.audit.tables import audit_entry
from callcenter.platform.core.errors import DependencyUnavailable, SignInNeeded
from callcenter.platform.core.registry import offers
from callcenter.platform.identity.permissions import (
    Permission,
    Role,
    SessionPermission,
    permissions_of,
)
from callcenter.platform.identity.tables import web_user
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentActor, CurrentSite, form_token, token_cookie
from callcenter.platform.web.openapi import describe

#: How long the database may take to answer before we say that it is not there, in seconds.
DATABASE_TIMEOUT = 2.0
_HAS_TABLES = select(exists(select(web_user.c.id)), exists(select(audit_entry.c.id)))

router = APIRouter(include_in_schema=False)
session_router = APIRouter(tags=["session"])


@router.get("/api/openapi.json", dependencies=[requires(SessionPermission.SIGNED_IN)])
async def openapi(request: Request) -> Response:
    """The description of the API (OpenAPI 3.1)."""
    return JSONResponse(describe(request.app))


def _name_permissions(schema: dict[str, Any]) -> None:
    """Describe the permissions that rooms registered."""
    schema["items"]["enum"] = sorted(offers(Permission))


class Session(BaseModel):
    """The signed-in user and the permissions."""

    name: str
    role: Role
    permissions: list[str] = Field(json_schema_extra=_name_permissions)
    form_token: str = Field(description="to be sent in X-Form-Token by what changes something")


@session_router.get("/api/v1/session", dependencies=[requires(SessionPermission.SIGNED_IN)])
async def session(request: Request, actor: CurrentActor) -> Session:
    """The current session; sign-in happens on the page."""
    if actor.user is None:
        raise SignInNeeded
    return Session(
        name=actor.user.name,
        role=actor.user.role,
        permissions=sorted(permissions_of(actor.user.role)),
        form_token=form_token(request.cookies[token_cookie(request)]),
    )


@router.get("/health/live", dependencies=[requires(SessionPermission.OPEN)])
async def live() -> Response:
    """Liveness: the process answers."""
    return JSONResponse({"status": "live"})


@router.get("/health/ready", dependencies=[requires(SessionPermission.OPEN)])
async def ready(site: CurrentSite) -> Response:
    """Readiness: 200 when the database answers and is migrated, else 503, without a reason."""
    try:
        await check_database(site.engine)
    except DependencyUnavailable:
        return JSONResponse({"status": "not ready"}, 503)
    return JSONResponse({"status": "ready"})


async def check_database(engine: AsyncEngine) -> None:
    """Check that the database answers within 2 seconds and has our tables.

    Raises DependencyUnavailable.
    """
    try:
        async with asyncio.timeout(DATABASE_TIMEOUT), unit_of_work(engine) as connection:
            await connection.execute(_HAS_TABLES)
    except TimeoutError as exc:
        raise DependencyUnavailable("the database does not answer: is it running?") from exc
    except SQLAlchemyError as exc:
        raise DependencyUnavailable("the database is not ready: run `callcenter migrate`") from exc
