"""Live figures: on the real Redis and PostgreSQL, with either away, and to many listeners."""

import asyncio
import json
import logging
import os
import re
import signal
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from redis.asyncio import Redis
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals import store as appeals
from callcenter.consultants.alarms import Alarm, raise_alarm
from callcenter.consultants.desk import Desk
from callcenter.consultants.duty import DutyDesk
from callcenter.consultants.states import State
from callcenter.consultants.store import Consultant
from callcenter.consultants.tables import consultant
from callcenter.live.figures import Figures
from callcenter.live.store import read_today
from callcenter.live.watch import Reading, Watch
from callcenter.settings import Settings
from callcenter.storage.engine import open_database, unit_of_work
from callcenter.storage.redis import open_redis
from callcenter.up.ports import free_port
from callcenter.web.permissions import Role
from callcenter.web.words import LANGUAGES, ZONE
from tests.calls.parts import OwnRedis
from tests.web.browser import sign_in, visible
from tests.web.conftest import PASSWORD, Enter, add_user, browse
from tests.web.test_commands import serving, wait_until_ready

LIMIT = 10.0  # seconds


async def until(true: Callable[[], Awaitable[bool]], what: str) -> None:
    deadline = time.monotonic() + LIMIT
    while not await true():
        assert time.monotonic() < deadline, f"not within {LIMIT:g} s: {what}"
        await asyncio.sleep(0.02)


def person(extension: str, *languages: str) -> Consultant:
    return Consultant(uuid4(), extension, "Aigul", languages or ("kk", "ru"), "", True)


@asynccontextmanager
async def line(
    redis: Redis, settings: Settings, name: str, *crew: Consultant
) -> AsyncIterator[Desk]:
    """A controller at the desk, alive for as long as the block lasts and 5 s longer."""
    desk = Desk(redis, name, settings)
    await desk.tell_roster(crew)
    await desk.tell_devices({each.extension: "NOT_INUSE" for each in crew}, 1)
    running = asyncio.create_task(desk.run())
    await until(lambda: _alive(redis, name), f"{name} is alive")
    try:
        yield desk
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _alive(redis: Redis, name: str) -> bool:
    return await redis.zscore("desk:controllers", name) is not None


@asynccontextmanager
async def waiting(
    desk: Desk, language: str, since: float, *, urgent: bool = False
) -> AsyncIterator[None]:
    """A caller who began to wait so many seconds ago."""
    arrived = time.time() - since
    async with desk.place(uuid4().hex, language, arrived=arrived, urgent=urgent) as place:
        task = asyncio.create_task(place.offer(LIMIT))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def watch(app: FastAPI) -> Watch:
    found: Watch = app.state.watch
    return found


async def listen_until(
    listener: AsyncGenerator[Reading, None], true: Callable[[Figures], bool]
) -> Figures:
    async with asyncio.timeout(LIMIT):
        async for reading in listener:
            if true(reading.figures):
                return reading.figures
    raise AssertionError("the figures ended")


async def test_who_waits_is_told_by_language_with_the_longest_wait_since_arrival(
    head: httpx.AsyncClient, redis: Redis, settings: Settings
) -> None:
    async with line(redis, settings, "line-1") as desk, AsyncExitStack() as callers:
        for language, since, urgent in (("kk", 40, False), ("kk", 5, True), ("ru", 9, False)):
            await callers.enter_async_context(waiting(desk, language, since, urgent=urgent))

        async def counted() -> bool:
            seen = (await head.get("/api/v1/live")).json()["desk"]
            return bool(seen["waiting"]["count"] == 3)

        await until(counted, "three wait")
        seen = (await head.get("/api/v1/live")).json()["desk"]
        assert 40 <= seen["waiting"]["longest"] < 60
        assert seen["languages"]["kk"]["waiting"]["count"] == 2
        assert 9 <= seen["languages"]["ru"]["waiting"]["longest"] < 30
        assert seen["controllers"] == 1


async def test_a_caller_of_a_dead_controller_does_not_count_as_waiting(
    redis: Redis, settings: Settings, watch: Watch
) -> None:
    async with line(redis, settings, "line-1") as desk, waiting(desk, "kk", 1):
        await until(lambda: _count(watch, 1), "one waits")
        await redis.hset("desk:calls", "orphan", f"line-9 kk {time.time() - 500} kk")
        await asyncio.sleep(0.5)  # longer than what was read counts as fresh
        seen = (await watch.now()).desk
        assert seen is not None
        assert (seen.waiting.count, seen.controllers) == (1, 1)
        await redis.zadd("desk:controllers", {"line-9": time.time() + 5})
        await until(lambda: _count(watch, 2), "with its controller alive it counts")


async def _count(watch: Watch, waiting: int) -> bool:
    desk = (await watch.now()).desk
    return desk is not None and desk.waiting.count == waiting


async def test_each_consultant_is_told_with_the_state_and_why_no_call_comes(
    engine: AsyncEngine, redis: Redis, settings: Settings, watch: Watch
) -> None:
    crew = [person(str(201 + n)) for n in range(6)]
    async with unit_of_work(engine) as connection:
        await connection.execute(
            insert(consultant).values(
                id=uuid4(), extension="202", name="Динара", languages=["kk"], digest="-"
            )
        )
    async with line(redis, settings, "line-1", *crew) as desk, desk.place("c", "kk") as place:
        offered = await place.offer(LIMIT)
        assert offered is not None
        place.answered()
        rest = [each.extension for each in crew if each.extension != offered.extension]
        duty = DutyDesk(redis, settings)
        await duty.ask(rest[0], State.PAUSED, by="self", reason="lunch")
        await duty.ask(rest[1], State.SIGNED_OUT, by="self")
        await desk.tell_devices({rest[2]: "INUSE", rest[3]: "UNAVAILABLE"}, 2)
        expected = {
            offered.extension: ("talking", "talking"),
            rest[0]: ("paused", "paused"),
            rest[1]: ("signed_out", "signed_out"),
            rest[2]: ("held_back", "telephone_in_use"),
            rest[3]: ("signed_out", "signed_out"),
            rest[4]: ("free", None),
        }

        async def told() -> bool:
            seen = (await watch.now()).desk
            assert seen is not None
            return {each.extension: (each.group, each.why) for each in seen.consultants} == expected

        await until(told, "everybody is told as they are")
        figures = await watch.now()
        assert figures.desk is not None
        assert figures.desk.languages["ru"].free == 1
        assert {each.name for each in figures.desk.consultants} == {None, "Динара"}
        assert figures.reasons["lunch"]["ru"] == "Обед"


async def kept(
    engine: AsyncEngine, at: datetime, outcome: str | None, *moments: tuple[str, float]
) -> None:
    """A call of the register with these moments, so many seconds after it came in."""
    identity = uuid4()
    async with unit_of_work(engine) as connection:
        await appeals.open_appeal(
            connection,
            appeal_id=identity,
            call_id=identity.hex,
            channel="call",
            caller_kind="withheld",
            caller_number=None,
            received_at=at,
        )
        await appeals.add_events(
            connection,
            [
                appeals.EventRow(identity, seq, at + timedelta(seconds=after), kind, {})
                for seq, (kind, after) in enumerate(moments)
            ],
        )
        if any(kind == "connected" for kind, _ in moments):
            someone = uuid4()
            await connection.execute(
                insert(consultant).values(
                    id=someone,
                    extension=str(100_000 + someone.int % 900_000),
                    name="x",
                    languages=["kk"],
                    digest="-",
                )
            )
            await appeals.set_consultant(connection, appeal_id=identity, consultant_id=someone)
        if outcome is not None:
            await appeals.close_appeal(
                connection, appeal_id=identity, outcome=outcome, ended_at=at + timedelta(minutes=2)
            )


async def test_calls_of_today_are_those_since_midnight_in_almaty(engine: AsyncEngine) -> None:
    midnight = datetime(2026, 11, 24, tzinfo=ZONE)
    noon = midnight + timedelta(hours=12)
    await kept(engine, midnight - timedelta(seconds=1), "talked", ("waiting", 1), ("connected", 2))
    await kept(engine, midnight, "talked", ("waiting", 10), ("ringing", 12), ("connected", 30))
    await kept(engine, noon, "talked", ("waiting", 10), ("connected", 30.001))
    # Rung in vain, then waiting again: the wait began with the first of them.
    await kept(engine, noon, None, ("waiting", 5), ("waiting", 20), ("connected", 26))
    await kept(engine, noon, "left_waiting", ("waiting", 5))
    await kept(engine, noon, "left_in_menu")
    async with unit_of_work(engine) as connection:
        today = await read_today(connection, noon.astimezone(UTC))
    assert today.outcomes == {"talked": 2, None: 1, "left_waiting": 1, "left_in_menu": 1}
    assert (today.answered, today.in_time) == (3, 1)


@asynccontextmanager
async def own_redis(short_folder: Path) -> AsyncIterator[tuple[OwnRedis, Redis]]:
    folder = short_folder / uuid4().hex[:8]
    folder.mkdir()
    server = OwnRedis(folder)
    await server.start()
    client = open_redis(Settings(_env_file=None, redis_url=SecretStr(server.url)))
    try:
        yield server, client
    finally:
        await client.aclose()
        await server.kill()


@pytest.mark.parametrize("how", ["killed", "hanging"])
async def test_while_redis_is_away_the_desk_is_not_known_and_the_rest_is(
    engine: AsyncEngine,
    settings: Settings,
    short_folder: Path,
    how: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with own_redis(short_folder) as (server, client):
        watch = Watch(engine, client, settings)
        async with watch.running(), aclosing(watch.listen()) as listener:
            await listen_until(listener, lambda seen: seen.desk is not None)
            if how == "killed":
                await server.kill()
            else:
                server.pause()
            caplog.clear()
            seen = await listen_until(listener, lambda seen: seen.desk is None)
            assert seen.today is not None
            asked = await watch.now()
            assert (asked.desk, asked.today is None) == (None, False)
            if how == "killed":
                # Once for all the time it is away, not twice a second.
                assert [r.levelno for r in caplog.records if "the desk" in r.message] == [
                    logging.ERROR
                ]
                await server.start()
            else:
                server.go_on()
            await listen_until(listener, lambda seen: seen.desk is not None)


async def test_while_the_database_is_away_its_figures_are_not_known_and_the_rest_is(
    redis: Redis, settings: Settings, tmp_path: Path
) -> None:
    url = SecretStr(f"postgresql://postgres@/none?host={tmp_path}")
    settings = settings.model_copy(update={"database_url": url})
    settings.__dict__.pop("database", None)
    engine = open_database(settings)
    watch = Watch(engine, redis, settings)
    async with watch.running(), aclosing(watch.listen()) as listener:
        seen = await listen_until(listener, lambda seen: seen.history[-1] is not None)
        assert seen.today is None
        assert seen.desk is not None
        assert (await watch.now()).today is None
    await engine.dispose()


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_page_says_what_is_not_known_and_shows_no_figure_for_it(
    app: FastAPI, head: httpx.AsyncClient, redis: Redis, tmp_path: Path, language: str
) -> None:
    gone = open_redis(
        Settings(_env_file=None, redis_url=SecretStr(f"unix://{tmp_path / 'none.sock'}"))
    )
    site = app.state.site
    app.state.watch = Watch(site.engine, gone, site.settings)
    head.headers["accept-language"] = language
    answer = await head.get("/live")
    told = {
        "kk": "Кезек жүйесі жауап бермейді",
        "ru": "Система очереди не отвечает",
        "en": "The queue does not answer",
    }
    text = visible(answer.text)
    assert told[language] in text
    assert answer.text.count('class="figure unknown"') == 2
    assert re.search(r'class="figure (calm|waiting|late)"', answer.text) is None
    assert (await head.get("/api/v1/live")).json()["desk"] is None
    await gone.aclose()


async def test_the_page_shows_figures_in_words_and_signs_and_runs_nothing_inline(
    head: httpx.AsyncClient, redis: Redis, settings: Settings
) -> None:
    head.headers["accept-language"] = "ru"
    async with line(redis, settings, "line-1", person("201", "ru")) as desk:
        await raise_alarm(redis, Alarm.NOBODY_SIGNED_IN, "kk")
        async with waiting(desk, "kk", 90):

            async def shown() -> bool:
                return "▲ дольше 20 секунд" in visible((await head.get("/live")).text)

            await until(shown, "the long wait is on the page")
            answer = await head.get("/live")
    text = visible(answer.text)
    for part in ("1 Ожидают", "свободны: 1", "свободны: 0", "1 Свободны 201", "0 Не на смене"):
        assert part in text
    assert "никто не говорит на языке: Казахский" in text
    assert re.search(r"Самое долгое ожидание", text)
    assert re.search(r"<script(?![^>]*\bsrc=)|\sstyle=|\son\w+=", answer.text) is None
    assert '<noscript><meta http-equiv="refresh"' in answer.text
    assert "connect-src 'self'" in answer.headers["content-security-policy"]


async def test_the_names_of_consultants_are_escaped(
    app: FastAPI, engine: AsyncEngine, head: httpx.AsyncClient, redis: Redis, settings: Settings
) -> None:
    async with unit_of_work(engine) as connection:
        await connection.execute(
            insert(consultant).values(
                id=uuid4(), extension="201", name="<script>x", languages=["kk"], digest="-"
            )
        )
    async with line(redis, settings, "line-1", person("201")):
        page = (await head.get("/live")).text
    assert "&lt;script&gt;x" in page
    assert "<script>x" not in page


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

    def form(figures: Figures) -> str:
        nonlocal made
        made += 1
        return str(figures.at)

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
        assert [reading.figures.desk is None async for reading in watch.listen()] == [False]


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
    user = await add_user(engine, "lead", Role.HEAD)
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
