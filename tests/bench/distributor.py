"""What an operation of the distributor costs Redis, whoever is idle and however many wait."""

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from redis.asyncio import Redis

from callcenter.consultants.store import Consultant
from callcenter.telephony.acd.distributor import RedisCallDistributor
from tests.bench.results import table
from tests.services import redis_server

IDLE = (10, 500)  # consultants, who speak Russian only
WAITING = (0, 10, 300)  # callers, who want Kazakh: nobody idle fits them
PARTS, CALLS = 10, 50  # calls that want Russian, one after another, from waiting to the end
OPERATIONS = 6  # of one such call
CONTROLLER = "line-1"


def costs(say: Callable[[str], None]) -> str:
    """A row for each number of idle consultants and of waiting callers."""
    rows = [("idle", "waiting", "Redis, us an operation", "ours and the way, us an operation")]
    with tempfile.TemporaryDirectory(prefix="cc-") as folder, redis_server(Path(folder)) as url:
        for idle in IDLE:
            for waiting in WAITING:
                server, whole = asyncio.run(_cost(url, idle, waiting))
                rows.append((str(idle), str(waiting), f"{server:.0f}", f"{whole - server:.0f}"))
                say(f"{idle} idle, {waiting} waiting: {server:.0f} us")
    return table(rows)


async def _cost(url: str, idle: int, waiting: int) -> tuple[float, float]:
    """Microseconds an operation: Redis's CPU, and the time until the answer."""
    async with Redis.from_url(url, decode_responses=True) as redis:
        await redis.flushall()
        distributor = RedisCallDistributor(redis, CONTROLLER)
        crew = [str(1000 + number) for number in range(idle)]
        people = (Consultant(uuid4(), each, "-", ("ru",), "", True) for each in crew)
        await distributor.update_roster(people)
        await distributor.update_devices(dict.fromkeys(crew, "NOT_INUSE"), 1)
        server = whole = 0.0
        for part in range(PARTS):
            await distributor.script("tick", CONTROLLER)
            for number in range(waiting):  # else it forgets them; not measured
                await distributor.script(
                    "wait", f"w-{number}", CONTROLLER, "kk", "1", "1", "kk", ""
                )
            cpu, at = await _cpu(redis), time.perf_counter()
            for number in range(CALLS):
                await _call(distributor, redis, f"call-{number}", part * CALLS + number + 2.0)
            whole += time.perf_counter() - at
            server += await _cpu(redis) - cpu
    operations = PARTS * CALLS * OPERATIONS
    return server / operations * 1e6, whole / operations * 1e6


async def _cpu(redis: Redis) -> float:
    """Seconds of CPU that the server has used."""
    used = await redis.info("cpu")
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


async def _call(distributor: RedisCallDistributor, redis: Redis, call: str, stamp: float) -> None:
    await distributor.script("wait", call, CONTROLLER, "ru", "1", "1", "ru", "")
    extension = str(await redis.hget("desk:held", call))
    await distributor.script("stage", call, "ringing")
    await distributor.update_devices({extension: "INUSE"}, stamp)
    await distributor.script("stage", call, "talking")
    await distributor.update_devices({extension: "NOT_INUSE"}, stamp + 0.5)
    await distributor.script("leave", call, "talked", "60")
