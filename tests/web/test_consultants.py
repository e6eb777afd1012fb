"""Languages, skills and the center's own lists, changed by the head; the page of work."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.consultants import store
from callcenter.consultants.presence import PresenceService
from callcenter.consultants.rules.states import PAGE_GONE, PresenceState
from callcenter.platform.audit.tables import audit_entry
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.acd.distributor import RedisCallDistributor
from callcenter.wallboard.live_feed import LiveFeed
from callcenter.workspace import pages
from tests.web.browser import visible
from tests.web.conftest import Enter
from tests.web.test_presence import consultant, distributor, post

__all__ = ["consultant", "distributor"]  # fixtures


async def skills_of(engine: AsyncEngine, extension: str) -> dict[str, int]:
    async with unit_of_work(engine) as connection:
        return dict((await store.find(connection, extension)).skills)


async def test_changed_languages_and_skills_reach_the_distributor_at_once(
    head: httpx.AsyncClient, engine: AsyncEngine, distributor: RedisCallDistributor, redis: Redis
) -> None:
    head.headers["accept-language"] = "ru"
    form = (await head.get("/consultants/201")).text
    assert 'name="level_psychologist"' in form
    ticked = {"speaks_kk": "1", "speaks_ru": "1", "level_lawyer": "4", "level_children": ""}
    answer = await post(head, "/consultants/201", **ticked)
    assert (answer.status_code, answer.headers["location"]) == (303, "/consultants")
    assert await skills_of(engine, "201") == {"lawyer": 4}
    assert await redis.hget("desk:roster", "201") == "kk ru"
    assert await redis.hget("desk:skills", "201") == "lawyer:4"
    assert "Юрист 4" in visible((await head.get("/consultants")).text)
    async with unit_of_work(engine) as connection:
        rows = await connection.execute(
            select(audit_entry.c.subject, audit_entry.c.detail).where(
                audit_entry.c.action == "web:consultant:changed"
            )
        )
        assert [tuple(row) for row in rows] == [
            ("consultant:201", {"languages": "kk,ru", "skills": "lawyer:4"})
        ]


async def test_a_team_set_by_page_stays_when_not_given(
    head: httpx.AsyncClient, engine: AsyncEngine, distributor: RedisCallDistributor
) -> None:
    async def team() -> str | None:
        async with unit_of_work(engine) as connection:
            return (await store.find(connection, "201")).team

    await post(head, "/consultants/201", speaks_kk="1", team=" Night  shift ")
    assert await team() == "Night shift"
    assert 'value="Night shift"' in (await head.get("/consultants/201")).text
    assert "Night shift" in visible((await head.get("/consultants")).text)
    people = await post(head, "/api/v1/consultants/201", languages="kk")
    assert people.json()[0]["team"] == await team() == "Night shift"
    assert (await post(head, "/consultants/201", speaks_kk="1", team="x" * 41)).status_code == 400
    await post(head, "/consultants/201", speaks_kk="1", team="")
    assert await team() is None


@pytest.mark.parametrize(
    "ticked",
    [
        {"level_lawyer": "4"},
        {"speaks_kk": "1", "level_lawyer": "6"},
        {"speaks_kk": "1", "level_lawyer": "x"},
        {"speaks_kk": "1", "level_piloting": "1"},
    ],
)
async def test_what_cannot_be_changes_nothing(
    head: httpx.AsyncClient,
    engine: AsyncEngine,
    distributor: RedisCallDistributor,
    ticked: dict[str, str],
) -> None:
    assert (await post(head, "/consultants/201", **ticked)).status_code == 400
    assert await skills_of(engine, "201") == {}
    assert (await post(head, "/consultants/999", speaks_kk="1")).status_code == 404


async def test_skills_are_changed_by_the_api_too(
    head: httpx.AsyncClient, engine: AsyncEngine, distributor: RedisCallDistributor
) -> None:
    answer = await post(
        head, "/api/v1/consultants/202", languages="ru", skills="children:2 psychologist"
    )
    person = next(each for each in answer.json() if each["extension"] == "202")
    assert person["languages"] == ["ru"]
    assert person["skills"] == {"children": 2, "psychologist": 1}
    for wrong in ("children:9", "children:1 children:2", "piloting:1", "; drop"):
        fields = {"languages": "kk", "skills": wrong}
        assert (await post(head, "/api/v1/consultants/202", **fields)).status_code == 400
    assert await skills_of(engine, "202") == {"children": 2, "psychologist": 1}


async def test_the_center_keeps_its_lists_and_nothing_is_deleted(
    head: httpx.AsyncClient, distributor: RedisCallDistributor
) -> None:
    smoke = {"code": "fresh_air", "name_kk": " Таза ауа ", "name_ru": "Свежий воздух"}
    assert (
        await post(head, "/lists/pause_reason", new="1", active="1", **smoke)
    ).status_code == 303
    reasons = {each["code"]: each for each in (await head.get("/api/v1/pause-reasons")).json()}
    assert reasons["fresh_air"]["name_kk"] == "Таза ауа"
    assert (
        await post(head, "/lists/pause_reason", new="1", active="1", **smoke)
    ).status_code == 400
    assert (await post(head, "/lists/pause_reason", **smoke)).status_code == 303
    codes = [each["code"] for each in (await head.get("/api/v1/pause-reasons")).json()]
    assert "fresh_air" not in codes
    assert "Свежий воздух" in (await head.get("/lists")).text
    for code in ("page_gone", "missed", "A", "x" * 41, "кофе"):
        answer = await post(head, "/api/v1/pause-reasons", **smoke | {"code": code})
        assert answer.status_code == 400, code
    assert (await post(head, "/lists/nothing", **smoke)).status_code == 404


async def test_a_pause_reason_has_a_key_of_its_own(
    head: httpx.AsyncClient, distributor: RedisCallDistributor
) -> None:
    tea = {"code": "tea", "name_kk": "Шай", "name_ru": "Чай", "active": "1"}

    async def keys() -> dict[str, int | None]:
        reasons = (await head.get("/api/v1/pause-reasons")).json()
        return {each["code"]: each["key"] for each in reasons}

    assert (await post(head, "/lists/pause_reason", new="1", key="1", **tea)).status_code == 303
    assert ((await keys())["tea"], (await keys())["lunch"]) == (1, None)
    await post(head, "/api/v1/pause-reasons", **tea)
    assert (await keys())["tea"] == 1, "what is not sent stays"
    await post(head, "/api/v1/pause-reasons", key="0", **tea)
    assert (await keys())["tea"] is None
    for wrong in ("10", "-1", "x"):
        answer = await post(head, "/api/v1/pause-reasons", key=wrong, **tea)
        assert answer.status_code in (400, 422), wrong
    assert (await post(head, "/api/v1/skills", key="1", **tea)).status_code == 400


async def test_a_deactivated_skill_is_nobodys_and_returns_unchanged(
    head: httpx.AsyncClient, engine: AsyncEngine, distributor: RedisCallDistributor, redis: Redis
) -> None:
    await post(head, "/consultants/201", speaks_kk="1", level_lawyer="3")
    lawyer = {"code": "lawyer", "name_kk": "Заңгер", "name_ru": "Юрист"}
    await post(head, "/api/v1/skills", **lawyer)
    assert await redis.hget("desk:skills", "201") is None
    await post(head, "/consultants/201", speaks_kk="1", level_children="1")
    await post(head, "/api/v1/skills", active="1", **lawyer)
    assert await redis.hget("desk:skills", "201") == "children:1 lawyer:3"


async def test_the_workspace_tells_state_and_why_no_call_comes(
    consultant: httpx.AsyncClient,
) -> None:
    consultant.headers["accept-language"] = "en"
    assert "No calls are offered to you." in visible((await consultant.get("/workspace")).text)
    assert (await post(consultant, "/workspace", state="paused", reason="lunch")).status_code == 400
    assert (await post(consultant, "/workspace", state="ready")).status_code == 303
    assert (await post(consultant, "/workspace", state="paused", reason="lunch")).status_code == 303
    async with asyncio.timeout(30):  # figures are half a second old at most
        while "On a pause" not in visible((await consultant.get("/workspace")).text):
            await asyncio.sleep(0.05)


async def test_who_is_not_linked_learns_so(enter: Enter, distributor: RedisCallDistributor) -> None:
    async with enter(Role.SENIOR) as client:
        client.headers["accept-language"] = "en"
        assert "not linked to a consultant" in visible((await client.get("/workspace")).text)


async def test_the_distributor_hears_while_the_page_is_open(
    app: FastAPI,
    distributor: RedisCallDistributor,
    redis: Redis,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pages, "PAGE_OPEN_INTERVAL", 0.1)
    presence = PresenceService(redis, settings)
    await presence.ask("201", PresenceState.READY, by="self", page=True)
    await redis.zadd("desk:pages", {"201": 1.0})
    feed: LiveFeed = app.state.live_feed
    async with feed.running():
        site, commands = app.state.site, app.state.commands
        events = pages.events(site, feed, presence, commands, Actor(None), "201", "kk")
        async for shown in events:
            assert "Бос" in shown
            break
        await events.aclose()
    assert (await redis.zscore("desk:pages", "201") or 0) > 1.7e9
    await redis.set("desk:web", "lives")
    await redis.zadd("desk:pages", {"201": 1.0})  # closed a long time ago
    await distributor.script("tick", "line-1")
    paused = await presence.of("201")
    assert (paused.state, paused.reason) == (PresenceState.PAUSED, PAGE_GONE)
