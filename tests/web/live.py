"""What the tests of live figures need: a line that lives, callers who wait, a Redis to kill."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

from pydantic import SecretStr
from redis.asyncio import Redis

from callcenter.consultants.desk import Desk, Place
from callcenter.consultants.store import Consultant
from callcenter.live.figures import Figures
from callcenter.live.watch import Reading
from callcenter.settings import Settings
from callcenter.storage.redis import open_redis
from tests.calls.parts import OwnRedis

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
        task = asyncio.create_task(_wait(place))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _wait(place: Place) -> None:
    while await place.offer(LIMIT) is None:
        pass


async def listen_until(
    listener: AsyncGenerator[Reading, None], true: Callable[[Figures], bool]
) -> Figures:
    async with asyncio.timeout(LIMIT):
        async for reading in listener:
            if true(reading.figures):
                return reading.figures
    raise AssertionError("the figures ended")


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
