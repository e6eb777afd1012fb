"""What the tests of live figures need: a line that lives, callers who wait, a Redis to kill."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

from pydantic import SecretStr
from redis.asyncio import Redis

from callcenter.consultants.presence import PresenceService
from callcenter.consultants.rules.states import PresenceState
from callcenter.consultants.store import Consultant
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.redis import open_redis
from callcenter.telephony.acd.distributor import RedisCallDistributor, RedisQueuePlace
from callcenter.wallboard.live_feed import LiveSnapshot
from callcenter.wallboard.rules import Figures
from tests.calls.processes import OwnRedis
from tests.polling import until

LIMIT = 30.0  # seconds


def person(extension: str, *languages: str) -> Consultant:
    return Consultant(uuid4(), extension, "Aigul", languages or ("kk", "ru"), "", True)


@asynccontextmanager
async def line(
    redis: Redis, settings: Settings, name: str, *crew: Consultant
) -> AsyncIterator[RedisCallDistributor]:
    """A controller at the distributor, alive for as long as the block lasts and 5 s longer."""
    distributor = RedisCallDistributor(redis, name, settings)
    await distributor.update_roster(crew)
    await distributor.update_devices({each.extension: "NOT_INUSE" for each in crew}, 1)
    running = asyncio.create_task(distributor.run())
    await until(lambda: _alive(redis, name), f"{name} is alive")
    try:
        yield distributor
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def sign_in(redis: Redis, settings: Settings, *extensions: str) -> None:
    """Have these consultants, who are on the roster, say that they are ready."""
    presence = PresenceService(redis, settings)
    for extension in extensions:
        await presence.ask(extension, PresenceState.READY, by="self")


async def _alive(redis: Redis, name: str) -> bool:
    return await redis.zscore("desk:controllers", name) is not None


@asynccontextmanager
async def waiting(
    distributor: RedisCallDistributor,
    language: str,
    since: float,
    *,
    urgent: bool = False,
    call: str | None = None,
) -> AsyncIterator[None]:
    """A caller who began to wait so many seconds ago."""
    arrived = time.time() - since
    call_id = call or uuid4().hex
    async with distributor.place(call_id, language, arrived=arrived, urgent=urgent) as place:
        task = asyncio.create_task(_wait(place))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _wait(place: RedisQueuePlace) -> None:
    while await place.wait_for_offer(LIMIT) is None:
        pass


async def listen_until(
    listener: AsyncGenerator[LiveSnapshot, None], true: Callable[[Figures], bool]
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
