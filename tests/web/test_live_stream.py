"""Live figures as a stream: shared by all listeners, over the wire, for whom it is permitted."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.launcher.port_check import free_port
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity import store
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.wallboard.live_feed import LiveFeed, LiveSnapshot
from tests.polling import require_within, until
from tests.web.browser import sign_in
from tests.web.conftest import PASSWORD, Enter, add_user, browse
from tests.web.live import LIMIT, line, listen_until, waiting
from tests.web.test_commands import serving, wait_until_ready

GONE_WITHIN = 2.0  # seconds in which a stream ends with its session


async def test_a_slow_listener_delays_nobody_and_gets_the_newest(
    redis: Redis, settings: Settings, feed: LiveFeed
) -> None:
    async with (
        feed.running(),
        aclosing(feed.listen()) as slow,
        aclosing(feed.listen()) as quick,
        line(redis, settings, "line-1") as distributor,
    ):
        await anext(slow)
        async with waiting(distributor, "ru", 1):
            await listen_until(quick, lambda seen: bool(seen.acd and seen.acd.waiting.count == 1))
            # What was published meanwhile is waiting for the slow one: the newest of it, once.
            seen = (await anext(slow)).figures
            assert seen.acd is not None
            assert seen.acd.waiting.count == 1
            assert seen.at > time.time() - LIMIT


async def test_listeners_share_what_was_read_and_made(feed: LiveFeed) -> None:
    made = 0

    def form(reading: LiveSnapshot) -> str:
        nonlocal made
        made += 1
        return str(reading.figures.at)

    async with feed.running(), AsyncExitStack() as stack:
        listeners = [await stack.enter_async_context(aclosing(feed.listen())) for _ in range(20)]
        for each in listeners:
            await anext(each)
        readings = [await anext(each) for _ in range(3) for each in listeners]
        for reading in readings:
            reading.render("text", form)
        assert made == len({id(reading) for reading in readings}) < len(listeners)


async def test_little_is_read_while_nobody_listens(feed: LiveFeed, engine: AsyncEngine) -> None:
    async with feed.running():
        async with aclosing(feed.listen()) as listener:
            await listen_until(listener, lambda seen: seen.today is not None)
            await anext(listener)
        await until(lambda: _forgotten(feed), "neither today nor the ACD is read any more")


async def _forgotten(feed: LiveFeed) -> bool:
    """Whether only the number of those who wait is read."""
    read = (feed.today_source.value, feed.acd_source.value, feed.waiting_source.value)
    return read == (None, None, 0)


async def test_a_listener_is_sent_to_sign_in_again(
    feed: LiveFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callcenter.wallboard.live_feed.STREAM_LIMIT", 0.0)
    async with feed.running(), asyncio.timeout(LIMIT):
        # Ends by itself; on a busy machine later, when today was not read in time.
        reported = [reading.figures async for reading in feed.listen()]
    assert reported[0].acd is not None


async def events(lines: AsyncIterator[str]) -> AsyncIterator[Any]:
    async for each in lines:
        if each.startswith("data: "):
            yield json.loads(each.removeprefix("data: "))


class Site(NamedTuple):
    """Pages in a process of their own."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def browser(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=LIMIT)


@pytest.fixture
async def site(
    database: str, redis_url: str, settings: Settings, tmp_path: Path, short_folder: Path
) -> AsyncIterator[Site]:
    port, log = free_port(), tmp_path / "log"
    reported = short_folder / f"{uuid4().hex[:8]}.sock"
    environment = {
        "CALLCENTER_DATABASE_URL": database,
        "CALLCENTER_REDIS_URL": redis_url,
        "CALLCENTER_WEB_PORT": str(port),
        "CALLCENTER_SECOND_FACTOR_ROLES": "[]",
        "CALLCENTER_VAR": str(settings.var),
        "NOTIFY_SOCKET": str(reported),
    }
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(reported))
        with serving(environment, log) as process:
            await asyncio.to_thread(wait_until_ready, receiver, process, log)
            async with asyncio.timeout(60):
                yield Site(process, f"http://127.0.0.1:{port}", log)


async def test_events_arrive_fresh_and_end_with_the_process(
    site: Site, engine: AsyncEngine, redis: Redis, settings: Settings
) -> None:
    user = await add_user(engine, "lead", Role.SENIOR)
    async with line(redis, settings, "line-1") as distributor, site.browser() as client:
        await sign_in(client, user.name, PASSWORD)
        async with client.stream("GET", "/api/v1/live/events") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert answer.headers["cache-control"] == "no-store"
            seen = events(answer.aiter_lines())
            assert (await anext(seen))["desk"]["waiting"]["count"] == 0
            async with waiting(distributor, "kk", 1):
                async for figures in seen:
                    if figures["desk"]["waiting"]["count"] == 1:
                        break
            async with client.stream("GET", "/live/events") as page:
                first = await anext(page.aiter_lines())
                assert "data: " in first
                os.kill(site.process.pid, signal.SIGTERM)
                # Ends as a whole answer does: a broken one would raise here.
                async for _ in seen:
                    pass
            assert await asyncio.to_thread(site.process.wait, 20) == 0
    written = site.log.read_text()
    assert "GET /api/v1/live/events 200" in written
    assert "Cancel" not in written
    assert "Traceback" not in written


async def disable(connection: AsyncConnection, user: store.User) -> None:
    await store.set_active(connection, name=user.name, active=False)


async def sign_out_elsewhere(connection: AsyncConnection, user: store.User) -> None:
    await store.end_sessions(connection, user.id)


@pytest.mark.parametrize("end", [disable, sign_out_elsewhere], ids=lambda end: end.__name__)
async def test_a_stream_ends_with_its_session(
    site: Site,
    engine: AsyncEngine,
    end: Callable[[AsyncConnection, store.User], Awaitable[None]],
) -> None:
    """As a whole answer does; that of somebody else goes on, and nothing is said to be wrong."""
    lead, other = [await add_user(engine, each, Role.SENIOR) for each in ("lead", "other")]
    async with AsyncExitStack() as stack:
        streams = []
        for user in (lead, other):
            client = await stack.enter_async_context(site.browser())
            await sign_in(client, user.name, PASSWORD)
            answer = await stack.enter_async_context(client.stream("GET", "/live/events"))
            streams.append(answer.aiter_lines())
            await anext(streams[-1])
        async with unit_of_work(engine) as connection:
            await end(connection, lead)
        began = time.monotonic()
        async with asyncio.timeout(LIMIT):  # by itself it would go on for a minute
            async for _ in streams[0]:
                pass
        require_within(time.monotonic() - began, GONE_WITHIN, "the stream ends")
        assert await anext(streams[1])
    assert "took no events" not in site.log.read_text()


async def test_who_may_not_look_gets_no_stream(enter: Enter, app: FastAPI) -> None:
    async with enter(Role.CONSULTANT) as client:
        assert (await client.get("/live/events")).status_code == 403
    async with browse(app) as stranger:
        assert (await stranger.get("/api/v1/live/events")).status_code == 401
