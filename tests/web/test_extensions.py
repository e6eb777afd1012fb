"""A room above appeals has all that it registers, without a line changed elsewhere."""

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from uuid import UUID

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from starlette.responses import RedirectResponse, Response

from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.extensions import (
    AppealReading,
    AppealSection,
    MovesWithAppeal,
    SearchableText,
    TimelineEntry,
    TimelineSource,
)
from callcenter.appeals.permissions import AppealPermission
from callcenter.bootstrap.rooms import ROOMS
from callcenter.bootstrap.web import application
from callcenter.commands.worker import serve
from callcenter.platform.audit.actions import Action
from callcenter.platform.core import registry
from callcenter.platform.core.registry import Room, register_rooms
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.actor import audit_action
from callcenter.platform.identity.permissions import Permission, Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerLoop, WorkerResources
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import (
    DONE_COOKIE,
    CurrentActor,
    CurrentSite,
    MenuEntry,
    WebModule,
)
from tests.web.browser import form_token
from tests.web.conftest import Call, Enter
from tests.web.test_records import WHOLE, send
from tests.web.test_search import found as search
from tests.web.test_users import actions

AT = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


class Overgrown(Exception):
    """What the loop of this test ends with."""


class GardenPermission(Permission):
    """Of the room of this test."""

    WATER = "garden.water", Role.AUDITOR


class GardenAction(Action):
    """Of the room of this test."""

    WATERED = "web:garden:watered"


async def water(site: CurrentSite, actor: CurrentActor) -> None:
    async with unit_of_work(site.engine) as connection:
        await audit_action(connection, actor, GardenAction.WATERED, "garden")


async def to_the_garden() -> Response:
    return RedirectResponse("/garden", 303)


class Garden:
    """A room of this test: it has one row about every appeal, in memory."""

    def __init__(self, folder: Path) -> None:
        self.moves: list[tuple[str, UUID, UUID]] = []
        self.folder = folder
        (folder / "trees.html").write_text("<p>trees: {{ section.trees }}</p>", encoding="utf-8")

    async def section(self, _reading: AppealReading) -> Mapping[str, object]:
        return {"trees": "three apple trees"}

    async def timeline(self, _reading: AppealReading) -> Sequence[TimelineEntry]:
        return [TimelineEntry(AT, "user:gardener", "A tree was planted", path="/garden/1")]

    async def texts(
        self, _connection: AsyncConnection, _keys: RecordKeys, _appeal: UUID
    ) -> Sequence[str]:
        return ["Алмагуль у яблони"]

    async def joined(self, _connection: AsyncConnection, appeal: UUID, into: UUID) -> None:
        self.moves.append(("joined", appeal, into))

    async def split(self, _connection: AsyncConnection, appeal: UUID, part: UUID) -> None:
        self.moves.append(("split", appeal, part))

    async def grow(self, _tools: WorkerResources, _redis: Redis) -> None:
        raise Overgrown

    def web_module(self) -> WebModule:
        router = APIRouter(dependencies=[requires(GardenPermission.WATER)])
        router.add_api_route("/garden", water)
        for path in ("/garden/plant", "/garden/dig"):
            router.add_api_route(path, to_the_garden, methods=["POST"])
        menu = MenuEntry(900, "/garden", "Garden", GardenPermission.WATER)
        static = self.folder / "static"
        static.mkdir(exist_ok=True)
        (static / "garden.js").write_text("trees = 3;", encoding="utf-8")
        return WebModule(
            "garden", (router,), self.folder, (menu,), static, plain_to_see=("/garden/dig",)
        )

    def room(self) -> Room:
        personal = AppealPermission.SEE_PERSONAL
        return Room(
            "garden",
            web="garden_web_module",
            offers=(
                *GardenPermission,
                *GardenAction,
                WorkerLoop("garden", self.grow),
                AppealSection("Garden", "garden/trees.html", personal, self.section),
                TimelineSource(personal, self.timeline),
                SearchableText(self.texts),
                MovesWithAppeal(self.joined, self.split),
            ),
        )


@pytest.fixture
def garden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Garden:
    """The room, registered above all others."""
    made = Garden(tmp_path)
    module = ModuleType("garden_web_module")
    vars(module)["WEB_MODULE"] = made.web_module()
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(registry, "registered", [])
    register_rooms([*ROOMS, made.room()])
    return made


@pytest.fixture
def app(garden: Garden, settings: Settings, engine: AsyncEngine, redis: Redis) -> FastAPI:
    assert garden.room().name == "garden"
    return application(settings, engine, redis)


@pytest.mark.usefixtures("garden")
async def test_a_field_shows_and_finds_the_appeal_by_its_words(
    head: httpx.AsyncClient, call: Call
) -> None:
    saved = await send(head, call.number, version=0, **WHOLE | {"kind": "complaint"})
    assert saved.status_code == 303
    page = (await head.get(f"/appeals/{call.number}")).text
    assert "trees: three apple trees" in page
    assert '<a href="/garden/1">A tree was planted</a>' in page
    assert await search(head, "яблоня") == [call.number]


@pytest.mark.usefixtures("garden")
async def test_what_a_reader_may_not_see_is_not_shown(enter: Enter, call: Call) -> None:
    async with enter(Role.AUDITOR) as auditor:
        page = (await auditor.get(f"/appeals/{call.number}")).text
    assert "apple" not in page


async def test_it_follows_when_a_part_is_split(
    garden: Garden, head: httpx.AsyncClient, call: Call
) -> None:
    await send(head, call.number, version=0, **WHOLE | {"kind": "complaint"})
    answer = await send(head, call.number, "split", version=1, key="content")
    assert answer.status_code == 303
    [(how, appeal, _)] = garden.moves
    assert (how, appeal) == ("split", call.id)


@pytest.mark.usefixtures("garden")
async def test_its_permission_opens_its_page_to_its_role_alone(enter: Enter) -> None:
    async with enter(Role.AUDITOR) as auditor, enter(Role.HEAD) as head:
        assert (await head.get("/garden")).status_code == 403
        assert (await auditor.get("/garden")).status_code == 200
        assert 'href="/garden"' in (await auditor.get("/search")).text
        permissions = (await auditor.get("/api/v1/session")).json()["permissions"]
        described = (await auditor.get("/api/openapi.json")).json()
    assert GardenPermission.WATER in permissions
    session = described["components"]["schemas"]["Session"]
    assert GardenPermission.WATER in session["properties"]["permissions"]["items"]["enum"]


@pytest.mark.usefixtures("garden")
async def test_its_script_is_served(enter: Enter) -> None:
    async with enter(Role.AUDITOR) as auditor:
        assert (await auditor.get("/static/garden.js")).text == "trees = 3;"


@pytest.mark.usefixtures("garden")
async def test_it_says_which_forms_need_no_confirmation(enter: Enter) -> None:
    async with enter(Role.AUDITOR) as auditor:
        token = await form_token(auditor, "/search")
        for path, is_confirmed in (("/garden/dig", False), ("/garden/plant", True)):
            answer = await auditor.post(path, data={"form_token": token})
            assert answer.status_code == 303
            assert (DONE_COOKIE in answer.cookies) == is_confirmed, path


@pytest.mark.usefixtures("garden")
async def test_its_action_is_in_the_audit_log(enter: Enter, engine: AsyncEngine) -> None:
    async with enter(Role.AUDITOR) as auditor:
        await auditor.get("/garden")
    assert "web:garden:watered" in await actions(engine)


@pytest.mark.usefixtures("garden", "database", "redis_url")
async def test_its_loop_runs_in_the_worker(settings: Settings) -> None:
    with pytest.raises(Overgrown):
        await serve(settings)
