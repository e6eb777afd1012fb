"""Live figures: on the real Redis and PostgreSQL, and with either away."""

import asyncio
import logging
import time
from collections import Counter
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

from callcenter.appeals.calls import store as appeals
from callcenter.consultants.presence import PresenceService
from callcenter.consultants.rules.states import PresenceState
from callcenter.consultants.tables import consultant
from callcenter.platform.core.settings import Settings
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.storage.engine import open_database, unit_of_work
from callcenter.telephony.reconciliation.store import count_refused
from callcenter.wallboard.live_feed import LiveFeed
from callcenter.wallboard.store import read_today
from tests.appeals import opened
from tests.polling import until
from tests.services import changed
from tests.web.live import LIMIT, line, listen_until, own_redis, person, sign_in, waiting

GOAL = timedelta(seconds=20)


async def test_waiting_is_shown_by_language_with_the_longest_wait(
    head: httpx.AsyncClient, redis: Redis, settings: Settings
) -> None:
    async with line(redis, settings, "line-1") as distributor, AsyncExitStack() as callers:
        for language, since, urgent in (("kk", 40, False), ("kk", 5, True), ("ru", 9, False)):
            await callers.enter_async_context(waiting(distributor, language, since, urgent=urgent))

        async def counted() -> bool:
            seen = (await head.get("/api/v1/live")).json()["desk"]
            return bool(seen["waiting"]["count"] == 3)

        await until(counted, "three wait")
        seen = (await head.get("/api/v1/live")).json()["desk"]
        assert 40 <= seen["waiting"]["longest"] < 60
        assert seen["languages"]["kk"]["waiting"]["count"] == 2
        assert 9 <= seen["languages"]["ru"]["waiting"]["longest"] < 30
        assert seen["controllers"] == 1


async def test_a_dead_controllers_caller_does_not_count_as_waiting(
    redis: Redis, settings: Settings, feed: LiveFeed
) -> None:
    async with line(redis, settings, "line-1") as distributor, waiting(distributor, "kk", 1):
        await until(lambda: _count(feed, 1), "one waits")
        await redis.hset("desk:calls", "orphan", f"line-9 kk {time.time() - 500} kk")
        await asyncio.sleep(0.5)  # longer than what was read counts as fresh
        seen = (await feed.now()).acd
        assert seen is not None
        assert (seen.waiting.count, seen.controllers) == (1, 1)
        await redis.zadd("desk:controllers", {"line-9": time.time() + 5})
        await until(lambda: _count(feed, 2), "with its controller alive it counts")


async def _count(feed: LiveFeed, waiting: int) -> bool:
    seen = (await feed.now()).acd
    return seen is not None and seen.waiting.count == waiting


async def test_each_consultant_is_shown_with_state_and_reason(
    engine: AsyncEngine, redis: Redis, settings: Settings, feed: LiveFeed
) -> None:
    crew = [person(str(201 + n)) for n in range(6)]
    async with unit_of_work(engine) as connection:
        await connection.execute(
            insert(consultant).values(
                id=uuid4(), extension="202", name="Динара", languages=["kk"], digest="-"
            )
        )
    async with (
        line(redis, settings, "line-1", *crew) as distributor,
        distributor.place("c", "kk") as place,
    ):
        await sign_in(redis, settings, *(each.extension for each in crew))
        offered = await place.wait_for_offer(LIMIT)
        assert offered is not None
        place.mark_answered()
        rest = [each.extension for each in crew if each.extension != offered.extension]
        presence = PresenceService(redis, settings)
        await presence.ask(rest[0], PresenceState.PAUSED, by="self", reason="lunch")
        await presence.ask(rest[1], PresenceState.SIGNED_OUT, by="self")
        await distributor.update_devices({rest[2]: "INUSE", rest[3]: "UNAVAILABLE"}, 2)
        expected = {
            offered.extension: ("talking", "talking"),
            rest[0]: ("paused", "paused"),
            rest[1]: ("signed_out", "signed_out"),
            rest[2]: ("held_back", "telephone_in_use"),
            rest[3]: ("held_back", "telephone_not_registered"),
            rest[4]: ("free", None),
        }

        async def reported() -> bool:
            seen = (await feed.now()).acd
            assert seen is not None
            return {each.extension: (each.group, each.why) for each in seen.consultants} == expected

        await until(reported, "everybody is told as they are")
        figures = await feed.now()
        assert figures.acd is not None
        assert figures.acd.languages["ru"].free == 1
        assert {each.name for each in figures.acd.consultants} == {None, "Динара"}
        assert figures.reasons["lunch"]["ru"] == "Обед"


async def stored(
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
    await stored(
        engine, yesterday, "talked", ("nobody_speaks", 1), ("waiting", 1), ("connected", 2)
    )
    await stored(engine, midnight, "talked", ("waiting", 10), ("ringing", 12), ("connected", 30))
    await stored(engine, noon, "talked", ("waiting", 10), ("connected", 30.001))
    # Rung in vain, then waiting again: the wait began with the first of them.
    await stored(engine, noon, None, ("waiting", 5), ("waiting", 20), ("connected", 26))
    await stored(
        engine, noon, "left_waiting", ("waiting", 5), ("nobody_speaks", 6), ("nobody_speaks", 99)
    )
    await stored(engine, noon, "left_in_menu")
    # Agreed to the other language: one talked in it, one left, one had talked before.
    for became, *moments in (
        ("talked", ("nobody_speaks", 5), ("other_language", 7), ("waiting", 7), ("connected", 60)),
        ("left_waiting", ("nobody_speaks", 5), ("other_language", 7)),
        ("left_waiting", ("waiting", 1), ("connected", 60), ("other_language", 70)),
    ):
        await stored(engine, noon, became, *moments)
    async with unit_of_work(engine) as connection:
        today = await read_today(connection, noon.astimezone(UTC), GOAL)
    assert today.outcomes == {"talked": 3, None: 1, "left_waiting": 3, "left_in_menu": 1}
    assert (today.answered, today.in_time) == (5, 1)
    assert (today.not_honoured, today.other_language) == (3, 1)


async def test_refused_calls_of_today_are_counted(engine: AsyncEngine) -> None:
    midnight = datetime(2026, 11, 24, tzinfo=ZONE)
    hours = (midnight - timedelta(hours=1), midnight, midnight + timedelta(hours=9))
    async with unit_of_work(engine) as connection:
        await count_refused(
            connection, Counter({(hour, "operator", 488): n for n, hour in enumerate(hours, 1)})
        )
        today = await read_today(connection, midnight + timedelta(hours=12), GOAL)
    assert today.refused == 5


@pytest.mark.parametrize("how", ["killed", "hanging"])
async def test_without_redis_the_distributor_alone_is_unknown(
    engine: AsyncEngine,
    settings: Settings,
    short_folder: Path,
    how: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with own_redis(short_folder) as (server, client):
        feed = LiveFeed(engine, client, settings)
        async with feed.running(), aclosing(feed.listen()) as listener:
            await listen_until(listener, lambda seen: seen.acd is not None)
            caplog.clear()
            if how == "killed":
                await server.kill()
            else:
                server.pause()
            seen = await listen_until(listener, lambda seen: seen.acd is None)
            assert seen.today is not None
            requested = await feed.now()
            assert (requested.acd, requested.today is None) == (None, False)
            if how == "killed":
                # Once for all the time it is away, not twice a second.
                assert [
                    r.levelno for r in caplog.records if "live figures unavailable" in r.message
                ] == [logging.ERROR]
                await server.start()
            else:
                server.go_on()
            await listen_until(listener, lambda seen: seen.acd is not None)


async def test_without_the_database_its_figures_alone_are_unknown(
    redis: Redis, settings: Settings, tmp_path: Path
) -> None:
    url = SecretStr(f"postgresql://postgres@/none?host={tmp_path}")
    settings = changed(settings, database_url=url)
    engine = open_database(settings)
    feed = LiveFeed(engine, redis, settings)
    async with feed.running(), aclosing(feed.listen()) as listener:
        seen = await listen_until(listener, lambda seen: seen.history[-1] is not None)
        assert seen.today is None
        assert seen.acd is not None
        assert (await feed.now()).today is None
    await engine.dispose()
