"""Default deny: what a site is refused for, and a form from elsewhere."""

import pytest
from fastapi import APIRouter
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.staticfiles import StaticFiles

from callcenter.errors import WeFailed
from callcenter.settings import Settings
from callcenter.web.access import needs
from callcenter.web.application import make_application
from callcenter.web.permissions import GRANTS, Permission, Role, check_grants
from callcenter.web.site import Room
from tests.web.browser import form_token
from tests.web.conftest import Enter


def test_grants_with_a_hole_are_refused() -> None:
    check_grants()
    without_role: dict[Role, frozenset[Permission]] = {
        role: granted for role, granted in GRANTS.items() if role is not Role.HEAD
    }
    with pytest.raises(WeFailed, match="head"):
        check_grants(without_role)
    without_listening = {role: granted - {Permission.LISTEN} for role, granted in GRANTS.items()}
    with pytest.raises(WeFailed, match=r"recordings\.listen"):
        check_grants(without_listening)


async def nothing() -> None:
    """A route that forgot something."""


def unguarded() -> APIRouter:
    router = APIRouter()
    router.add_api_route("/forgotten", nothing)
    return router


def guarded_twice() -> APIRouter:
    router = APIRouter(dependencies=[needs(Permission.OPEN)])
    router.add_api_route("/forgotten", nothing, dependencies=[needs(Permission.LISTEN)])
    return router


def mounted() -> APIRouter:
    router = APIRouter()
    router.mount("/forgotten", StaticFiles(directory="/"))
    return router


@pytest.mark.parametrize("make", [unguarded, guarded_twice, mounted])
async def test_a_site_with_a_route_without_its_one_permission_does_not_start(
    settings: Settings, engine: AsyncEngine, redis: Redis, make: object
) -> None:
    assert callable(make)
    with pytest.raises(WeFailed, match="/forgotten"):
        make_application(settings, engine, redis, [Room("other", (make(),))])


async def test_a_form_from_elsewhere_is_refused(enter: Enter) -> None:
    async with enter(Role.HEAD) as client:
        assert (await client.post("/sign-out")).status_code == 403
        stolen = await form_token(client, "/appeals")
        assert (await client.get("/appeals")).status_code == 200
    async with enter(Role.HEAD) as other:
        refused = await other.post("/sign-out", data={"form_token": stolen})
        assert refused.status_code == 403
        assert (await other.get("/appeals")).status_code == 200
