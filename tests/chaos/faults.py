"""The faults, each with what ends it as `callcenter up` or the operator would."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.calls.house import House
from tests.calls.parts import Line, OwnPostgres, OwnRedis, Process

AGAIN = 0.5  # seconds after which a dead part is started again
FROZEN = 10.0


@dataclass
class Parts:
    """What can be made to fail."""

    house: House
    lines: list[Line]
    worker: Process
    postgres: OwnPostgres
    redis: OwnRedis
    frozen: float = FROZEN  #: seconds for which a part does nothing


async def controller_killed(parts: Parts) -> None:
    await parts.lines[0].kill()
    await asyncio.sleep(AGAIN)
    await parts.lines[0].start()


async def controller_frozen(parts: Parts) -> None:
    """Its peer kills it before it takes its calls over; then it is started again."""
    parts.lines[1].pause()
    await asyncio.sleep(parts.frozen)
    try:
        parts.lines[1].go_on()
    except ProcessLookupError:
        await parts.lines[1].start()


async def worker_killed(parts: Parts) -> None:
    await parts.worker.kill()
    await asyncio.sleep(AGAIN)
    await parts.worker.start()


async def postgresql_restarted(parts: Parts) -> None:
    await asyncio.to_thread(parts.postgres.stop)
    await asyncio.to_thread(parts.postgres.start)
    await parts.worker.kill()  # it ends without a database; whoever started it starts it again
    await parts.worker.start()


async def postgresql_frozen(parts: Parts) -> None:
    await asyncio.to_thread(parts.postgres.pause)
    await asyncio.sleep(parts.frozen)
    await asyncio.to_thread(parts.postgres.go_on)


async def redis_killed(parts: Parts) -> None:
    await parts.redis.kill()
    await asyncio.sleep(AGAIN)
    await parts.redis.start()


async def redis_emptied(parts: Parts) -> None:
    await parts.house.redis.flushall()


async def asterisk_killed(parts: Parts) -> None:
    """All its calls are cut, which no software can mend."""
    await parts.house.switch.kill()
    await asyncio.sleep(AGAIN)
    await parts.house.switch.start()


Fault = Callable[[Parts], Awaitable[None]]
FAULTS: list[Fault] = [
    controller_killed,
    controller_frozen,
    worker_killed,
    postgresql_restarted,
    postgresql_frozen,
    redis_killed,
    redis_emptied,
    asterisk_killed,
]
