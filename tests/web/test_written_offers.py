"""Between calls something written is offered on the consultant's page; a call always wins."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.encryption import RecordKeys
from callcenter.consultants.presence import PresenceService
from callcenter.consultants.rules.states import PresenceState
from callcenter.intake import queue
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity import store
from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.sessions import new_token
from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.acd.rules.transfer_target import TransferTarget
from callcenter.wallboard.live_feed import LiveFeed
from callcenter.wallboard.rules import ConsultantFigures
from callcenter.workspace import written_offers
from callcenter.workspace.own_call import OwnCall
from callcenter.workspace.pages import events
from callcenter.workspace.view import WorkspaceView
from callcenter.workspace.written_offers import FREE, WrittenOffers
from tests.intake.messages import add_consultant, change, message, receive, rows
from tests.polling import until
from tests.web.browser import form_token, visible
from tests.web.conftest import browse
from tests.web.live import line, person, sign_in


@pytest.fixture
async def reader(engine: AsyncEngine) -> Actor:
    return await add_consultant(engine, "2001")


@pytest.fixture
async def client(
    app: FastAPI, engine: AsyncEngine, reader: Actor
) -> AsyncIterator[httpx.AsyncClient]:
    """The browser of that consultant."""
    assert reader.user is not None
    token = new_token()
    async with unit_of_work(engine) as connection:
        await store.begin_session(connection, user_id=reader.user.id, token=token)
    async with browse(app) as client:
        client.cookies.set("callcenter", token)
        client.headers["accept-language"] = "en"
        yield client


@pytest.fixture
async def parts(
    app: FastAPI, feed: LiveFeed, redis: Redis, settings: Settings, reader: Actor
) -> AsyncIterator["Parts"]:
    """What the open page of that consultant is sent."""
    presence = PresenceService(redis, settings)
    site, commands = app.state.site, app.state.commands
    stream = events(site, feed, presence, commands, reader, "2001", "en")
    async with feed.running(), aclosing(stream) as sent:
        yield Parts(sent)


class Parts:
    """The parts of a page as they stand."""

    def __init__(self, sent: AsyncIterator[str]) -> None:
        self._sent = sent
        self.written = ""

    async def shows(self, words: str) -> bool:
        """Whether these words are in what is written, after the next event."""
        sent = await anext(self._sent)
        if found := re.search(r'data-part="written">(.*?)<div data-part', sent, re.DOTALL):
            self.written = visible(found[1])
        return words in self.written


async def test_a_free_consultant_is_offered_and_reads_a_contact(
    client: httpx.AsyncClient,
    parts: Parts,
    web_engine: AsyncEngine,
    engine: AsyncEngine,
    redis: Redis,
    settings: Settings,
    reader: Actor,
) -> None:
    async with line(redis, settings, "line-1", person("2001")):
        await sign_in(redis, settings, "2001")
        number = (await receive(web_engine, settings, message(is_urgent=True))).number
        await until(lambda: parts.shows("Read what is written"), "it is offered")
        assert "in danger" in parts.written
        page = await client.get("/workspace")
        assert f'data-opens="{number}"' in page.text
        token = await form_token(client, "/workspace")
        data = {"form_token": token}
        taken = await client.post(f"/appeals/{number}/written/take", data=data)
        assert taken.status_code == 303
        await until(lambda: parts.shows(f"Go on with appeal {number}"), "it is in hand")
    assert await rows(engine, "SELECT holder FROM written_contact") == [(reader.name,)]


async def test_a_call_wins_over_what_is_written(
    parts: Parts,
    web_engine: AsyncEngine,
    engine: AsyncEngine,
    redis: Redis,
    settings: Settings,
    reader: Actor,
) -> None:
    async with line(redis, settings, "line-1", person("2001")) as distributor:
        await sign_in(redis, settings, "2001")
        first = await receive(web_engine, settings, message("1"))
        await queue.take(web_engine, RecordKeys.read(settings), reader, first.number)
        await receive(web_engine, settings, message("2", is_urgent=True))
        await change(engine, "UPDATE written_contact SET queued_at = now() - interval '1 minute'")
        await until(lambda: parts.shows("Read what is written"), "the second is offered")
        target = TransferTarget("2001")
        async with distributor.place("call-9", "ru", urgent=False, target=target) as place:
            assert await place.wait_for_offer(20) is not None
            await until(lambda: parts.shows("Nobody has read yet: 1"), "it waits for others")
            await receive(web_engine, settings, message("3", is_urgent=True))
            await change(
                engine, "UPDATE written_contact SET queued_at = now() - interval '1 minute'"
            )
            await until(lambda: parts.shows("Nobody has read yet: 2"), "no other is offered")
            for _ in range(3):  # by what comes next neither
                await parts.shows("")
            offered = "SELECT count(*) FROM written_contact WHERE offered_until > now()"
            assert await rows(engine, offered) == [(0,)]
            held = f"Go on with appeal {first.number}"
            assert "Read what is written" not in parts.written
            assert held not in parts.written  # not now
        await until(lambda: parts.shows(held), "it is in hand as before")
    unread = "SELECT count(*) FROM written_contact WHERE read_at IS NULL"
    assert await rows(engine, unread) == [(2,)]


async def test_what_nobody_free_can_read_is_looked_for_seldom(
    web_engine: AsyncEngine,
    engine: AsyncEngine,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each open page of a free consultant looks, and the database serves all of them."""
    russian = await add_consultant(engine, "2002", "ru")
    await receive(web_engine, settings, message(language="kk"))
    own = ConsultantFigures("2002", None, FREE, None, None, 0)
    view = WorkspaceView(own, OwnCall(), written_waiting=1)
    now = 0.0
    looks: list[float] = []
    look = queue.offer_next

    async def count(*args: Any) -> str | None:
        looks.append(now)
        return await look(*args)

    monkeypatch.setattr(queue, "offer_next", count)
    monkeypatch.setattr(written_offers, "time", SimpleNamespace(monotonic=lambda: now))
    before = asyncio.all_tasks()
    async with aclosing(WrittenOffers(web_engine, settings, russian, "2002")) as offers:
        for second in range(60):
            now = float(second)
            offers.follow(view if now < 50 else replace(view, written_waiting=2))
            while looking := asyncio.all_tasks() - before:
                await asyncio.wait(looking)
    assert looks == [0, 2, 6, 14, 22, 30, 38, 46, 50, 52, 56]  # something came after 50 seconds


async def test_a_paused_consultant_may_take_the_next_contact(
    client: httpx.AsyncClient,
    web_engine: AsyncEngine,
    engine: AsyncEngine,
    redis: Redis,
    settings: Settings,
    parts: Parts,
    reader: Actor,
) -> None:
    async with line(redis, settings, "line-1", person("2001")):
        await sign_in(redis, settings, "2001")
        presence = PresenceService(redis, settings)
        await presence.ask("2001", PresenceState.PAUSED, by="self", reason="rest")
        number = (await receive(web_engine, settings, message("1"))).number
        await until(lambda: parts.shows("Take the next"), "it may be taken")
        token = await form_token(client, "/workspace")
        data = {"form_token": token}
        requested = await client.post("/workspace/written/next", data=data)
        assert requested.status_code == 303
        await until(lambda: parts.shows("Read what is written"), "it is offered")
        refused = await client.post("/workspace/written/next", data=data)
        assert refused.status_code == 400
        assert "Nothing that is written waits for you now" in visible(refused.text)
        await queue.take(web_engine, RecordKeys.read(settings), reader, number)
        await receive(web_engine, settings, message("2"))
        await until(lambda: parts.shows("Take the next"), "beside what is in hand")
        assert f"Go on with appeal {number}" in parts.written


async def test_supervisors_see_what_is_written_on_the_wallboard(
    head: httpx.AsyncClient, web_engine: AsyncEngine, settings: Settings, redis: Redis
) -> None:
    head.headers["accept-language"] = "en"
    await receive(web_engine, settings, message("1"))
    await receive(web_engine, settings, message("2", is_urgent=True))
    page = visible((await head.get("/live")).text)
    assert "Somebody writes in danger, and nobody has read it: 1" in page
    assert "2 Written, to be read" in page
    today = (await head.get("/api/v1/live")).json()["today"]
    expected = {"written": 2, "written_urgent": 1, "written_overdue": 1, "written_in_hand": 0}
    assert {key: today[key] for key in expected} == expected
