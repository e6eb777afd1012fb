"""The web application: its rooms, guards, and error handlers."""

import logging
from collections import Counter
from collections.abc import Coroutine, Sequence
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

from callcenter.platform.core.errors import (
    CallcenterError,
    Forbidden,
    InvalidRequest,
    OperationFailed,
    SignInNeeded,
)
from callcenter.platform.core.i18n import LANGUAGES, Translator
from callcenter.platform.core.registry import offers
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.actions import IdentityAction
from callcenter.platform.identity.oidc_confirmations import OidcConfirmations
from callcenter.platform.identity.oidc_sign_in import read_oidc_sign_in
from callcenter.platform.identity.permissions import Permission, check_permissions
from callcenter.platform.identity.refusals import record_refusal
from callcenter.platform.identity.second_factor import SecondFactors, demanding_roles
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.notify_listener import NotifyListener
from callcenter.platform.web import guide_pages, health, static_files
from callcenter.platform.web.authorization import FormRefused, route_permissions
from callcenter.platform.web.context import AppContext, WebModule, read_actor, site_of
from callcenter.platform.web.errors import status_of
from callcenter.platform.web.open_streams import OpenStreams
from callcenter.platform.web.own_guides import GUIDES
from callcenter.platform.web.security_middleware import SecurityMiddleware
from callcenter.platform.web.sign_in import (
    pages,
    pages_invitation,
    pages_oidc,
    pages_password,
    pages_second_factor,
)
from callcenter.platform.web.static_files import load_assets
from callcenter.platform.web.templating import (
    guides_of,
    make_templates,
    menu_of,
    page,
)

log = logging.getLogger(__name__)

#: No form of ours is longer, in bytes: a text of 20 000 letters, each written as six.
LARGEST_BODY = 256 * 1024

#: How a machine says who it is (RFC 9110, 11.6.1); people sign in by the page.
BEARER_CHALLENGE = {"WWW-Authenticate": "Bearer"}


async def _confirm_identities(site: AppContext) -> None:
    """Confirm people by the organisation's sign-in, where there is one, until cancelled."""
    if site.oidc is not None:
        await OidcConfirmations(site.settings, site.engine, site.oidc).run()


OWN = WebModule(
    "web",
    (
        pages.router,
        pages_second_factor.router,
        pages_oidc.router,
        pages_invitation.router,
        pages_password.router,
        guide_pages.router,
        static_files.router,
        health.router,
        health.session_router,
    ),
    guides=GUIDES,
    plain_to_see=("/language", "/second-factor", "/sign-"),
    loops=(
        lambda site: site.listener.run(),
        lambda site: site.streams.run(),
        _confirm_identities,
    ),
)


def make_application(
    settings: Settings, engine: AsyncEngine, redis: Redis, rooms: Sequence[WebModule]
) -> FastAPI:
    """Build the application of these rooms.

    It opens nothing: engine and client are the caller's to close.

    Raises OperationFailed when a route names no permission, or one that no room registers, when
    nobody has a permission, or a translation cannot be read; InvalidRequest when a setting is
    wrong, as one that names no role: such a site must not start.
    """
    check_permissions()
    app = FastAPI(
        title="Contact center 111",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.state.site = make_context(settings, engine, redis, rooms)
    for room in (OWN, *rooms):
        for router in room.routers:
            app.include_router(router)
    if unknown := {each for _, _, each in route_permissions(app)} - set(offers(Permission)):
        raise OperationFailed(f"no room registers the permission {', '.join(sorted(unknown))}")
    for family in (CallcenterError, exc.DataError, exc.OperationalError, exc.TimeoutError):
        app.add_exception_handler(family, render_error)
    app.add_exception_handler(RequestValidationError, render_invalid)
    app.add_exception_handler(HTTPException, render_http_error)
    app.state.answers = Counter[str]()
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=LARGEST_BODY)
    app.add_middleware(
        SecurityMiddleware,
        render_error=render_error,
        answers=app.state.answers,
        plain_to_see=tuple(path for room in (OWN, *rooms) for path in room.plain_to_see),
    )
    return app


def make_context(
    settings: Settings, engine: AsyncEngine, redis: Redis, rooms: Sequence[WebModule]
) -> AppContext:
    """Build the context of the routes. Raises as `make_application` does."""
    whole = (OWN, *rooms)
    assets, listener = load_assets(rooms), NotifyListener(settings)
    return AppContext(
        settings=settings,
        engine=engine,
        redis=redis,
        templates=make_templates(whole, assets),
        words={language: Translator(language) for language in LANGUAGES},
        assets=assets,
        menu=menu_of(rooms),
        guides=guides_of(whole),
        factors=SecondFactors(settings, engine),
        demanding=demanding_roles(settings),
        oidc=read_oidc_sign_in(settings),
        listener=listener,
        streams=OpenStreams(engine, listener),
    )


def background_loops(
    site: AppContext, rooms: Sequence[WebModule]
) -> list[Coroutine[Any, Any, None]]:
    """All that runs beside the pages of these rooms."""
    return [loop(site) for room in (OWN, *rooms) for loop in room.loops]


async def render_error(request: Request, error: Exception) -> Response:
    """The response to an error of ours."""
    status = status_of(error)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or isinstance(error, exc.DataError):
        log.error("request failed: %s: %s", request.method, type(error).__name__, exc_info=error)
    if isinstance(error, SignInNeeded) and not _is_api(request):
        back = request.url.path if request.method == "GET" else "/"
        return RedirectResponse(f"/sign-in?{urlencode({'back': back})}", HTTPStatus.SEE_OTHER)
    if isinstance(error, Forbidden) and not isinstance(error, FormRefused):
        await _audit_refusal(request)
    if status < HTTPStatus.INTERNAL_SERVER_ERROR:
        await _read_actor_for_page(request)
    if not isinstance(error, InvalidRequest):
        return _answer(request, status, None)
    headers = BEARER_CHALLENGE if status == HTTPStatus.UNAUTHORIZED else None
    return _answer(request, status, str(error), headers, error.problem_details)


async def render_invalid(request: Request, error: Exception) -> Response:
    """The response to invalid values: 404 for a wrong path, 400 for the rest."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - narrows for the type checker
    places = {str(item["loc"][0]) for item in error.errors()}
    if "path" in places:
        return _answer(request, 404, "there is nothing at this address")
    # What was sent is not repeated: it may be personal.
    faults = {".".join(map(str, item["loc"])): item["msg"] for item in error.errors()}
    wrong = ", ".join(sorted(faults))
    return _answer(request, 400, f"wrong or missing: {wrong}", members={"faults": faults})


async def render_http_error(request: Request, error: Exception) -> Response:
    """The response to errors of the framework: no such route, wrong method, large body."""
    assert isinstance(error, HTTPException)  # noqa: S101 - narrows for the type checker
    await _read_actor_for_page(request)
    return _answer(request, error.status_code, None, dict(error.headers or {}))


async def _audit_refusal(request: Request) -> None:
    """Leave an audit entry that somebody known tried what they may not.

    Strangers leave none: they could fill the log.
    """
    try:
        actor = await read_actor(request)
        if actor.user is None and actor.machine is None:
            return
        async with unit_of_work(site_of(request).engine) as connection:
            await record_refusal(
                connection,
                actor,
                IdentityAction.ACCESS_REFUSED,
                f"{request.method} {request.url.path}"[:300],
            )
    except (CallcenterError, exc.SQLAlchemyError, OSError) as failure:
        log.error("refusal not audited: %s", type(failure).__name__)


async def _read_actor_for_page(request: Request) -> None:
    """Read the actor, so that an error page keeps the sign-in and the menu."""
    if not _is_api(request):
        with suppress(CallcenterError, exc.SQLAlchemyError, OSError):
            await read_actor(request)


def _answer(
    request: Request,
    status: int,
    detail: str | None,
    headers: dict[str, str] | None = None,
    members: dict[str, Any] | None = None,
) -> Response:
    """Problem details (RFC 9457) with `members` for the API; an error page otherwise."""
    if not _is_api(request):
        response: Response = page(
            request, "web/error.html", status=status, code=status, is_form=request.method == "POST"
        )
    else:
        problem: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": status,
            **(members or {}),
        }
        if detail is not None:
            problem["detail"] = detail
        response = JSONResponse(problem, status, media_type="application/problem+json")
    response.headers.update(headers or {})
    return response


def _is_api(request: Request) -> bool:
    return request.url.path.startswith(("/api/", "/health/"))
