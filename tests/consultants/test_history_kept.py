"""Each change of a consultant's state reaches PostgreSQL, though its writer is killed meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.consultants import store
from callcenter.consultants.desk import Desk
from callcenter.consultants.duty import CHANGES, DutyDesk
from callcenter.consultants.jobs import keep_history
from callcenter.consultants.states import State
from callcenter.settings import Settings
from callcenter.storage.engine import unit_of_work
from callcenter.up.supervisor import environment
from tests.seeds import generator
from tests.services import CALLCENTER

LIMIT = 30.0
KILLS = 2


async def at_work(engine: AsyncEngine, redis: Redis, settings: Settings) -> DutyDesk:
    """The desk, with 201 signed in and written down."""
    async with unit_of_work(engine) as connection:
        await store.add(
            connection, extension="201", name="Айгүл", languages=["kk"], digest="0" * 32
        )
        roster = await store.active(connection)
    desk = Desk(redis, "line-1", settings)
    await desk.tell_roster(roster)
    await desk.tell_devices({"201": "NOT_INUSE"}, 1)
    return DutyDesk(redis, settings)


@asynccontextmanager
async def worker(settings: Settings) -> AsyncIterator[asyncio.subprocess.Process]:
    """Killed at the end, at whatever it is doing."""
    process = await asyncio.create_subprocess_exec(*CALLCENTER, "worker", env=environment(settings))
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


async def until_kept(redis: Redis) -> None:
    async with asyncio.timeout(LIMIT):
        while await redis.xlen(CHANGES):
            await asyncio.sleep(0.01)


async def kept(engine: AsyncEngine) -> list[str]:
    async with engine.connect() as connection:
        rows = await connection.execute(text("SELECT state FROM consultant_state ORDER BY at"))
        return list(rows.scalars())


async def test_no_change_is_lost_and_none_is_kept_twice_though_workers_are_killed(
    engine: AsyncEngine, redis: Redis, settings: Settings
) -> None:
    duty = await at_work(engine, redis, settings)
    rng = generator("killed workers")
    made = [State.READY]
    for _ in range(KILLS):
        async with worker(settings):
            await until_kept(redis)  # it has started
            async with asyncio.timeout(LIMIT):
                killed_at = len(made) + rng.randint(50, 900)
                while len(made) < killed_at:
                    made.append(State.PAUSED if made[-1] is State.READY else State.READY)
                    await duty.ask("201", made[-1], by="self", reason="lunch")
    async with worker(settings):
        await until_kept(redis)
    assert await kept(engine) == made


async def test_what_cannot_be_read_or_kept_does_not_hold_up_the_rest(
    engine: AsyncEngine, redis: Redis, settings: Settings
) -> None:
    duty = await at_work(engine, redis, settings)
    for key, wrong in (("state", "?"), ("at", "soon"), ("reason", "\0"), ("extension", "999")):
        change = {"extension": "201", "state": "ready", "reason": "-", "at": "2", "by": "self"}
        await redis.xadd(CHANGES, {name: wrong if name == key else change[name] for name in change})
    await redis.xadd(CHANGES, {"extension": "201"})
    await duty.ask("201", State.PAUSED, by="self", reason="lunch")
    keeping = asyncio.create_task(keep_history(duty, engine))
    await until_kept(redis)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    assert await kept(engine) == [State.READY, State.PAUSED]
