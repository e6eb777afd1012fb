"""Live figures: on the real Redis and PostgreSQL, and with either away."""

import asyncio
import logging
import time
from contextlib import AsyncExitStack, aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals import store as appeals
from callcenter.consultants.duty import DutyDesk
from callcenter.consultants.states import State
from callcenter.consultants.tables import consultant
from callcenter.live.store import read_today
from callcenter.live.watch import Watch
from callcenter.settings import Settings
from callcenter.storage.engine import open_database, unit_of_work
from callcenter.web.words import ZONE
from tests.appeals import opened
from tests.web.live import LIMIT, line, listen_until, own_redis, person, until, waiting


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
    async with unit_of_work(engine) as connection:
        identity = await opened(connection, at)
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
    yesterday = midnight - timedelta(seconds=30)
    await kept(engine, yesterday, "talked", ("nobody_speaks", 1), ("waiting", 1), ("connected", 2))
    await kept(engine, midnight, "talked", ("waiting", 10), ("ringing", 12), ("connected", 30))
    await kept(engine, noon, "talked", ("waiting", 10), ("connected", 30.001))
    # Rung in vain, then waiting again: the wait began with the first of them.
    await kept(engine, noon, None, ("waiting", 5), ("waiting", 20), ("connected", 26))
    await kept(
        engine, noon, "left_waiting", ("waiting", 5), ("nobody_speaks", 6), ("nobody_speaks", 99)
    )
    await kept(engine, noon, "left_in_menu")
    # Agreed to the other language: one talked in it, one left, one had talked before.
    for became, *moments in (
        ("talked", ("nobody_speaks", 5), ("other_language", 7), ("waiting", 7), ("connected", 60)),
        ("left_waiting", ("nobody_speaks", 5), ("other_language", 7)),
        ("left_waiting", ("waiting", 1), ("connected", 60), ("other_language", 70)),
    ):
        await kept(engine, noon, became, *moments)
    async with unit_of_work(engine) as connection:
        today = await read_today(connection, noon.astimezone(UTC))
    assert today.outcomes == {"talked": 3, None: 1, "left_waiting": 3, "left_in_menu": 1}
    assert (today.answered, today.in_time) == (5, 1)
    assert (today.not_honoured, today.other_language) == (3, 1)


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
