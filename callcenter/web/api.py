"""The API's own routes: its description, and whether the process lives and can serve."""

import asyncio

from fastapi import APIRouter
from pydantic import BaseModel, Field
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from callcenter.errors import NotReady
from callcenter.storage.engine import unit_of_work
from callcenter.web.access import needs
from callcenter.web.describing import describe
from callcenter.web.errors import SignInNeeded
from callcenter.web.permissions import GRANTS, Permission, Role
from callcenter.web.site import CurrentSite, CurrentVisit, form_token, token_cookie

#: How long the database may take to answer before we say that it is not there, in seconds.
PATIENCE = 2.0

router = APIRouter(include_in_schema=False)
session_router = APIRouter(tags=["session"])


@router.get("/api/openapi.json", dependencies=[needs(Permission.SIGNED_IN)])
async def openapi(request: Request) -> Response:
    """The description of the API (OpenAPI 3.1)."""
    return JSONResponse(describe(request.app))


class Session(BaseModel):
    """Who you are here, and what you may."""

    name: str
    role: Role
    permissions: list[Permission]
    form_token: str = Field(description="to be sent in X-Form-Token by what changes something")


@session_router.get("/api/v1/session", dependencies=[needs(Permission.SIGNED_IN)])
async def session(request: Request, visit: CurrentVisit) -> Session:
    """Whose session this is; it begins with the sign-in by the page."""
    if visit.user is None:
        raise SignInNeeded
    return Session(
        name=visit.user.name,
        role=visit.user.role,
        permissions=sorted(GRANTS[visit.user.role]),
        form_token=form_token(request.cookies[token_cookie(request)]),
    )


@router.get("/health/live", dependencies=[needs(Permission.OPEN)])
async def live() -> Response:
    """The process answers."""
    return JSONResponse({"status": "live"})


@router.get("/health/ready", dependencies=[needs(Permission.OPEN)])
async def ready(site: CurrentSite) -> Response:
    """200 when the database answers and has our tables, else 503; never why."""
    try:
        await check_database(site.engine)
    except NotReady:
        return JSONResponse({"status": "not ready"}, 503)
    return JSONResponse({"status": "ready"})


async def check_database(engine: AsyncEngine) -> None:
    """Raises NotReady unless the database answers within 2 seconds and has our tables."""
    try:
        async with asyncio.timeout(PATIENCE), unit_of_work(engine) as connection:
            await connection.execute(text("SELECT FROM web_user, audit_entry, appeal LIMIT 1"))
    except TimeoutError as exc:
        raise NotReady("the database does not answer: is it running?") from exc
    except SQLAlchemyError as exc:
        raise NotReady("the database is not ready: run `callcenter migrate`") from exc
