"""What an operation of the desk costs Redis, whoever is idle and however many wait."""

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from redis.asyncio import Redis

from callcenter.consultants.desk import Desk
from callcenter.consultants.store import Consultant
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
        desk = Desk(redis, CONTROLLER)
        crew = [str(1000 + number) for number in range(idle)]
        people = (Consultant(uuid4(), each, "-", ("ru",), "", True) for each in crew)
        await desk.tell_roster(people)
        await desk.tell_devices(dict.fromkeys(crew, "NOT_INUSE"), 1)
        server = whole = 0.0
        for part in range(PARTS):
            await desk._do("tick", CONTROLLER)
            for number in range(waiting):  # else the desk forgets them; not measured
                await desk._do("wait", f"w-{number}", CONTROLLER, "kk", "1", "1", "kk", "")
            cpu, at = await _cpu(redis), time.perf_counter()
            for number in range(CALLS):
                await _call(desk, redis, f"call-{number}", part * CALLS + number + 2.0)
            whole += time.perf_counter() - at
            server += await _cpu(redis) - cpu
    operations = PARTS * CALLS * OPERATIONS
    return server / operations * 1e6, whole / operations * 1e6


async def _cpu(redis: Redis) -> float:
    """Seconds of CPU that the server has used."""
    used = await redis.info("cpu")
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


async def _call(desk: Desk, redis: Redis, call: str, stamp: float) -> None:
    await desk._do("wait", call, CONTROLLER, "ru", "1", "1", "ru", "")
    extension = str(await redis.hget("desk:held", call))
    await desk._do("stage", call, "ringing")
    await desk.tell_devices({extension: "INUSE"}, stamp)
    await desk._do("stage", call, "talking")
    await desk.tell_devices({extension: "NOT_INUSE"}, stamp + 0.5)
    await desk._do("leave", call, "talked", "60")
