"""The application: rooms put together, guarded, and every error told at the edge."""

import logging
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from redis.asyncio import Redis
from sqlalchemy import exc
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from callcenter.errors import AskedWrongly, CallcenterError
from callcenter.settings import Settings
from callcenter.web import api, pages, pages_own_password, pages_provider, pages_second_factor
from callcenter.web.access import demands
from callcenter.web.by_provider import by_provider
from callcenter.web.edge import Edge
from callcenter.web.errors import SignInNeeded, status_of
from callcenter.web.permissions import check_grants
from callcenter.web.rendering import load_assets, make_templates, page
from callcenter.web.second_factor import Factors, demanding_roles
from callcenter.web.site import Room, Site, read_visit
from callcenter.web.words import LANGUAGES, Words

log = logging.getLogger(__name__)

#: No form of ours is longer, in bytes: a text of 20 000 letters, each written as six.
LARGEST_BODY = 256 * 1024

#: How a machine says who it is (RFC 9110, 11.6.1); people sign in by the page.
SAY_WHO = {"WWW-Authenticate": "Bearer"}

OWN = Room(
    "web",
    (
        pages.router,
        pages_second_factor.router,
        pages_provider.router,
        pages_own_password.router,
        api.router,
        api.session_router,
    ),
)


def make_application(
    settings: Settings, engine: AsyncEngine, redis: Redis, rooms: Sequence[Room]
) -> FastAPI:
    """The site with these rooms. It opens nothing: engine and client are the caller's to close.

    Raises WeFailed when a route names no permission, a role has no rule, or a translation cannot
    be read; AskedWrongly when a setting is wrong, as one that names no role: such a site must not
    start.
    """
    check_grants()
    app = FastAPI(
        title="Contact center 111",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.state.site = make_site(settings, engine, redis, rooms)
    for room in (OWN, *rooms):
        for router in room.routers:
            app.include_router(router)
    list(demands(app))
    for family in (CallcenterError, exc.DataError, exc.OperationalError, exc.TimeoutError):
        app.add_exception_handler(family, tell)
    app.add_exception_handler(RequestValidationError, tell_invalid)
    app.add_exception_handler(HTTPException, tell_http)
    app.state.answers = Counter[str]()
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=LARGEST_BODY)
    app.add_middleware(Edge, tell=tell, answers=app.state.answers)
    return app


def make_site(settings: Settings, engine: AsyncEngine, redis: Redis, rooms: Sequence[Room]) -> Site:
    """What the routes of an application work with. Raises as `make_application` does."""
    assets = load_assets()
    return Site(
        settings=settings,
        engine=engine,
        redis=redis,
        templates=make_templates(rooms, assets),
        words={language: Words(language) for language in LANGUAGES},
        assets=assets,
        factors=Factors(settings, engine),
        demanding=demanding_roles(settings),
        by_provider=by_provider(settings),
    )


async def tell(request: Request, error: Exception) -> Response:
    """The answer to an error of ours."""
    status = status_of(error)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or isinstance(error, exc.DataError):
        log.error("%s on %s", type(error).__name__, request.method, exc_info=error)
    if isinstance(error, SignInNeeded) and not _is_api(request):
        back = request.url.path if request.method == "GET" else "/"
        return RedirectResponse(f"/sign-in?{urlencode({'back': back})}", HTTPStatus.SEE_OTHER)
    if status < HTTPStatus.INTERNAL_SERVER_ERROR:
        await _recognise(request)
    if not isinstance(error, AskedWrongly):
        return _answer(request, status, None)
    headers = SAY_WHO if status == HTTPStatus.UNAUTHORIZED else None
    return _answer(request, status, str(error), headers, error.told)


async def tell_invalid(request: Request, error: Exception) -> Response:
    """A wrong path leads nowhere (404); any other wrong value was asked wrongly (400)."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - narrows for the type checker
    places = {str(item["loc"][0]) for item in error.errors()}
    if "path" in places:
        return _answer(request, 404, "there is nothing at this address")
    # What was sent is not repeated: it may be personal.
    faults = {".".join(map(str, item["loc"])): item["msg"] for item in error.errors()}
    wrong = ", ".join(sorted(faults))
    return _answer(request, 400, f"wrong or missing: {wrong}", told={"faults": faults})


async def tell_http(request: Request, error: Exception) -> Response:
    """What the framework itself refuses: no such route, wrong method, too large a body."""
    assert isinstance(error, HTTPException)  # noqa: S101 - narrows for the type checker
    await _recognise(request)
    return _answer(request, error.status_code, None, dict(error.headers or {}))


async def _recognise(request: Request) -> None:
    """Whoever is signed in stays so on a page that refuses something, and finds the way on."""
    if not _is_api(request):
        with suppress(CallcenterError, exc.SQLAlchemyError, OSError):
            await read_visit(request)


def _answer(
    request: Request,
    status: int,
    detail: str | None,
    headers: dict[str, str] | None = None,
    told: dict[str, Any] | None = None,
) -> Response:
    """Problem details (RFC 9457) for the API, with the members `told`; a page for people."""
    if not _is_api(request):
        response: Response = page(
            request, "web/error.html", status=status, code=status, is_form=request.method == "POST"
        )
    else:
        problem: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": status,
            **(told or {}),
        }
        if detail is not None:
            problem["detail"] = detail
        response = JSONResponse(problem, status, media_type="application/problem+json")
    response.headers.update(headers or {})
    return response


def _is_api(request: Request) -> bool:
    return request.url.path.startswith(("/api/", "/health/"))
