"""Default deny: what a site is refused for, and a form from elsewhere."""

import pytest
from fastapi import APIRouter
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.staticfiles import StaticFiles

from callcenter.platform.core import registry
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.registry import Room
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.permissions import (
    Permission,
    Role,
    SessionPermission,
    check_permissions,
)
from callcenter.platform.web.application import make_application
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import WebModule
from callcenter.recordings.permissions import RecordingPermission
from tests.web.browser import form_token
from tests.web.conftest import Enter


class OwnPermission(Permission):
    """Permissions of a room that is not registered, or whose permission nobody has."""

    FORGET = "own.forget"


def test_a_permission_that_nobody_has_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    check_permissions()
    monkeypatch.setattr(registry, "registered", [Room("own", offers=(*OwnPermission,))])
    with pytest.raises(OperationFailed, match=r"own\.forget"):
        check_permissions()


async def nothing() -> None:
    """A route that forgot something."""


def unguarded() -> APIRouter:
    router = APIRouter()
    router.add_api_route("/forgotten", nothing)
    return router


def guarded_twice() -> APIRouter:
    router = APIRouter(dependencies=[requires(SessionPermission.OPEN)])
    router.add_api_route("/forgotten", nothing, dependencies=[requires(RecordingPermission.LISTEN)])
    return router


def unregistered() -> APIRouter:
    router = APIRouter(dependencies=[requires(OwnPermission.FORGET)])
    router.add_api_route("/own.forget", nothing)
    return router


def mounted() -> APIRouter:
    router = APIRouter()
    router.mount("/forgotten", StaticFiles(directory="/"))
    return router


@pytest.mark.parametrize("make", [unguarded, guarded_twice, unregistered, mounted])
async def test_a_route_without_one_permission_stops_the_start(
    settings: Settings, engine: AsyncEngine, redis: Redis, make: object
) -> None:
    assert callable(make)
    with pytest.raises(OperationFailed, match=r"/forgotten|own\.forget"):
        make_application(settings, engine, redis, [WebModule("other", (make(),))])


async def test_a_form_from_elsewhere_is_refused(enter: Enter) -> None:
    async with enter(Role.HEAD) as client:
        assert (await client.post("/sign-out")).status_code == 403
        stolen = await form_token(client, "/search")
        assert (await client.get("/search")).status_code == 200
    async with enter(Role.HEAD) as other:
        refused = await other.post("/sign-out", data={"form_token": stolen})
        assert refused.status_code == 403
        assert (await other.get("/search")).status_code == 200
