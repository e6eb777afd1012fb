"""Live figures as a stream: shared by all listeners, over the wire, for whom it is permitted."""

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.live.watch import Reading, Watch
from callcenter.settings import Settings
from callcenter.up.ports import free_port
from callcenter.web.permissions import Role
from tests.web.browser import sign_in
from tests.web.conftest import PASSWORD, Enter, add_user, browse
from tests.web.live import LIMIT, line, listen_until, until, waiting
from tests.web.test_commands import serving, wait_until_ready


async def test_a_slow_listener_holds_nobody_up_and_gets_the_newest_not_a_backlog(
    redis: Redis, settings: Settings, watch: Watch
) -> None:
    async with (
        watch.running(),
        aclosing(watch.listen()) as slow,
        aclosing(watch.listen()) as quick,
        line(redis, settings, "line-1") as desk,
    ):
        await anext(slow)
        async with waiting(desk, "ru", 1):
            await listen_until(quick, lambda seen: bool(seen.desk and seen.desk.waiting.count == 1))
            # What was published meanwhile is waiting for the slow one: the newest of it, once.
            seen = (await anext(slow)).figures
            assert seen.desk is not None
            assert seen.desk.waiting.count == 1
            assert seen.at > time.time() - LIMIT


async def test_listeners_share_what_was_read_and_made(watch: Watch) -> None:
    made = 0

    def form(reading: Reading) -> str:
        nonlocal made
        made += 1
        return str(reading.figures.at)

    async with watch.running(), AsyncExitStack() as stack:
        listeners = [await stack.enter_async_context(aclosing(watch.listen())) for _ in range(20)]
        for each in listeners:
            await anext(each)
        readings = [await anext(each) for _ in range(3) for each in listeners]
        for reading in readings:
            reading.form("text", form)
        assert made == len({id(reading) for reading in readings}) < len(listeners)


async def test_the_database_is_left_alone_while_nobody_listens(
    watch: Watch, engine: AsyncEngine
) -> None:
    async with watch.running():
        async with aclosing(watch.listen()) as listener:
            await listen_until(listener, lambda seen: seen.today is not None)
            await anext(listener)
        await until(lambda: _forgotten(watch), "today is not read any more")


async def _forgotten(watch: Watch) -> bool:
    return watch._today.known is None and watch._desk.known is not None


async def test_who_has_to_sign_in_again_is_sent_away_after_a_while(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callcenter.live.watch.STREAM", 0.0)
    async with watch.running(), asyncio.timeout(LIMIT):
        # Ends by itself; on a busy machine later, when today was not read in time.
        told = [reading.figures async for reading in watch.listen()]
    assert told[0].desk is not None


async def events(lines: AsyncIterator[str]) -> AsyncIterator[Any]:
    async for each in lines:
        if each.startswith("data: "):
            yield json.loads(each.removeprefix("data: "))


async def test_events_come_over_the_wire_fresh_and_end_when_the_process_stops(
    database: str,
    engine: AsyncEngine,
    redis: Redis,
    redis_url: str,
    settings: Settings,
    tmp_path: Path,
    short_folder: Path,
) -> None:
    user = await add_user(engine, "lead", Role.SENIOR)
    port, log = free_port(), tmp_path / "log"
    told = short_folder / f"{uuid4().hex[:8]}.sock"
    environment = {
        "CALLCENTER_DATABASE_URL": database,
        "CALLCENTER_REDIS_URL": redis_url,
        "CALLCENTER_WEB_PORT": str(port),
        "CALLCENTER_VAR": str(tmp_path / "var"),
        "NOTIFY_SOCKET": str(told),
    }
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(told))
        with serving(environment, log) as process:
            await asyncio.to_thread(wait_until_ready, receiver, process, log)
            async with (
                line(redis, settings, "line-1") as desk,
                httpx.AsyncClient(
                    base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=LIMIT
                ) as client,
                asyncio.timeout(60),
            ):
                await sign_in(client, user.name, PASSWORD)
                async with client.stream("GET", "/api/v1/live/events") as answer:
                    assert answer.headers["content-type"].startswith("text/event-stream")
                    assert answer.headers["cache-control"] == "no-store"
                    seen = events(answer.aiter_lines())
                    assert (await anext(seen))["desk"]["waiting"]["count"] == 0
                    async with waiting(desk, "kk", 1):
                        async for figures in seen:
                            if figures["desk"]["waiting"]["count"] == 1:
                                break
                    async with client.stream("GET", "/live/events") as page:
                        first = await anext(page.aiter_lines())
                        assert "data: " in first
                        os.kill(process.pid, signal.SIGTERM)
                        # Ends as a whole answer does: a broken one would raise here.
                        async for _ in seen:
                            pass
                    assert await asyncio.to_thread(process.wait, 20) == 0
    written = log.read_text()
    assert "GET /api/v1/live/events 200" in written
    assert "Cancel" not in written
    assert "Traceback" not in written


async def test_who_may_not_look_gets_no_stream(enter: Enter, app: FastAPI) -> None:
    async with enter(Role.CONSULTANT) as client:
        assert (await client.get("/live/events")).status_code == 403
    async with browse(app) as stranger:
        assert (await stranger.get("/api/v1/live/events")).status_code == 401
