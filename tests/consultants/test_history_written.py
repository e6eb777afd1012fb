"""Each presence change reaches PostgreSQL, though its writer is killed meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.consultants import store
from callcenter.consultants.jobs import keep_history
from callcenter.consultants.presence import CHANGES, PresenceService
from callcenter.consultants.rules.states import PresenceState
from callcenter.launcher.supervisor import environment
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import unit_of_work
from callcenter.telephony.acd.distributor import RedisCallDistributor
from tests import fork_server
from tests.seeds import generator
from tests.services import CALLCENTER

LIMIT = 30.0
KILLS = 2


async def at_work(engine: AsyncEngine, redis: Redis, settings: Settings) -> PresenceService:
    """Set up a distributor with 201 signed in and stored."""
    async with unit_of_work(engine) as connection:
        await store.add(
            connection, extension="201", name="Айгүл", languages=["kk"], digest="0" * 32
        )
        roster = await store.active(connection)
    distributor = RedisCallDistributor(redis, "line-1", settings)
    await distributor.update_roster(roster)
    await distributor.update_devices({"201": "NOT_INUSE"}, 1)
    presence = PresenceService(redis, settings)
    await presence.ask("201", PresenceState.READY, by="self")
    return presence


@asynccontextmanager
async def worker(settings: Settings) -> AsyncIterator[fork_server.Forked]:
    """Run a worker; it is killed at the end."""
    process = await fork_server.begin((*CALLCENTER, "worker"), environment(settings))
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


async def until_saved(redis: Redis) -> None:
    async with asyncio.timeout(LIMIT):
        while await redis.xlen(CHANGES):
            await asyncio.sleep(0.01)


async def saved_states(engine: AsyncEngine) -> list[str]:
    async with engine.connect() as connection:
        rows = await connection.execute(text("SELECT state FROM consultant_state ORDER BY at"))
        return list(rows.scalars())


async def test_killed_workers_neither_lose_nor_repeat_changes(
    engine: AsyncEngine, redis: Redis, settings: Settings
) -> None:
    presence = await at_work(engine, redis, settings)
    rng = generator("killed workers")
    made = [PresenceState.READY]
    for _ in range(KILLS):
        async with worker(settings):
            await until_saved(redis)  # it has started
            async with asyncio.timeout(LIMIT):
                killed_at = len(made) + rng.randint(50, 900)
                while len(made) < killed_at:
                    made.append(
                        PresenceState.PAUSED
                        if made[-1] is PresenceState.READY
                        else PresenceState.READY
                    )
                    await presence.ask("201", made[-1], by="self", reason="lunch")
    async with worker(settings):
        await until_saved(redis)
    assert await saved_states(engine) == made


async def test_unreadable_changes_do_not_hold_up_the_rest(
    engine: AsyncEngine, redis: Redis, settings: Settings
) -> None:
    presence = await at_work(engine, redis, settings)
    for key, wrong in (("state", "?"), ("at", "soon"), ("reason", "\0"), ("extension", "999")):
        change = {"extension": "201", "state": "ready", "reason": "-", "at": "2", "by": "self"}
        await redis.xadd(CHANGES, {name: wrong if name == key else change[name] for name in change})
    await redis.xadd(CHANGES, {"extension": "201"})
    await presence.ask("201", PresenceState.PAUSED, by="self", reason="lunch")
    keeping = asyncio.create_task(keep_history(presence, engine))
    await until_saved(redis)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    assert await saved_states(engine) == [PresenceState.READY, PresenceState.PAUSED]
