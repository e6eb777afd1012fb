"""Controllers that are killed at work: real processes, a real Redis, callers at random times."""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Any

import pytest
from redis.asyncio import Redis

from callcenter.consultants.desk import Desk
from callcenter.consultants.duty import DutyDesk
from callcenter.consultants.script import DeskClosed
from callcenter.consultants.states import MOVES, IllegalMove, State
from callcenter.settings import ROOT
from tests.consultants.controller import RULES, crew, stubbornly
from tests.seeds import generator

CALLERS = 200
NAMES = ("line-1", "line-2", "line-3")
KILLS = 8
PATIENCE = 120.0  # seconds for all of it, on a busy machine
EXTENSIONS = [each.extension for each in crew()]

pytestmark = pytest.mark.alone


class Switch:
    """What goes on when a controller is dead: telephones, conversations, callers who ring again."""

    def __init__(self, redis: Redis, url: str) -> None:
        self.redis = redis
        self.url = url
        self.desk = Desk(redis, "switch", RULES)  # tells of telephones only
        self.processes: dict[str, asyncio.subprocess.Process] = {}

    async def start(self, name: str) -> None:
        self.processes[name] = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.consultants.controller", self.url, name, cwd=ROOT
        )

    def all_live(self) -> None:
        """Nobody has ended by itself: its callers would wait for ever."""
        ended = {name: p.returncode for name, p in self.processes.items() if p.returncode}
        assert ended == {}, "controllers have failed, see what they printed"

    async def all_ready(self, duty: DutyDesk) -> None:
        for extension in EXTENSIONS:
            await stubbornly(partial(duty.ask, extension, State.READY, by="self"))

    async def stop(self, name: str) -> None:
        with suppress(ProcessLookupError):
            self.processes[name].kill()
        await self.processes[name].wait()

    async def kill(self, name: str) -> None:
        """SIGKILL; then its telephones are hung up, and callers whom nobody served ring again."""
        await self.stop(name)
        while any(each["name"] == name for each in await self.redis.client_list()):
            await asyncio.sleep(0.01)  # what it sent last must be done first
        for key in [key async for key in self.redis.scan_iter("test:phone:*")]:
            entry: Any = await self.redis.get(key)
            holder, extension, caller = (entry or "- - -").split(" ")
            if holder == name:
                await self.redis.delete(key, f"test:caller:{caller}")
                states, at = {extension: "NOT_INUSE"}, time.time()
                await stubbornly(partial(self.desk.tell_devices, states, at))
        left: Any = await self.redis.lrange(f"test:serving:{name}", 0, -1)
        for caller in left:
            await self.redis.lrem(f"test:serving:{name}", 0, caller)
            if not await self.redis.sismember("test:served", caller):
                await self.redis.rpush("test:callers", caller)


@asynccontextmanager
async def restless(duty: DutyDesk) -> AsyncIterator[None]:
    """Consultants pause, sign out and come back at random."""

    rng = generator("restless consultants")

    async def change() -> None:
        while True:
            wanted = rng.choice((State.READY, State.READY, State.PAUSED, State.SIGNED_OUT))
            with suppress(IllegalMove, DeskClosed):
                await duty.ask(rng.choice(EXTENSIONS), wanted, by="self", reason="lunch")
            await asyncio.sleep(0.02)

    changing = asyncio.create_task(change())
    try:
        yield
    finally:
        changing.cancel()
        await asyncio.gather(changing, return_exceptions=True)


async def test_nobody_rings_two_no_caller_rings_two_and_nobody_is_left_leased_whoever_is_killed(
    redis: Redis, redis_url: str
) -> None:
    switch, duty = Switch(redis, redis_url), DutyDesk(redis, RULES)
    rng = generator("killed controllers")
    await switch.desk.tell_roster(crew())
    await switch.desk.tell_devices(dict.fromkeys(EXTENSIONS, "NOT_INUSE"), time.time())
    async with AsyncExitStack() as stack, asyncio.timeout(PATIENCE):
        for name in NAMES:
            await switch.start(name)
            stack.push_async_callback(switch.stop, name)
        async with restless(duty):
            calling = asyncio.create_task(callers(redis))
            for _ in range(KILLS):
                await asyncio.sleep(rng.uniform(0.5, 1.5))
                name = rng.choice(NAMES)
                switch.all_live()
                await switch.kill(name)
                await switch.start(name)
            await calling
        while await redis.scard("test:served") < CALLERS or await redis.exists("desk:held"):
            switch.all_live()
            await switch.all_ready(duty)
            await asyncio.sleep(0.2)
        assert await redis.lrange("test:wrong", 0, -1) == []
        while await redis.zcard("desk:idle") < len(EXTENSIONS):
            await switch.all_ready(duty)  # two offers in a row may have been missed at the end
            await asyncio.sleep(0.2)
        for key in ("held", "holders", "leases", "waiting", "calls", "asked", "wants"):
            assert not await redis.exists(f"desk:{key}"), key
    assert await wrong_offers(redis) == Counter()


async def callers(redis: Redis) -> None:
    rng = generator("arriving callers")
    for number in range(CALLERS):
        await redis.rpush("test:callers", str(number))
        await asyncio.sleep(rng.uniform(0, 0.08))


async def wrong_offers(redis: Redis) -> Counter[str]:
    """Offers to somebody who was not ready, and other moves that there are not."""
    before: dict[str, State] = {}
    wrong: Counter[str] = Counter()
    entries: Any = await redis.xrange("desk:changes")
    for _, fields in entries:
        extension, state = fields["extension"], State(fields["state"])
        was = before.get(extension, State.SIGNED_OUT)
        if state is not was and state not in MOVES[was]:
            wrong[f"{was} to {state}"] += 1
        if state is State.OFFERED and was is not State.READY:
            wrong["offers in the wrong state"] += 1
        before[extension] = state
    assert sum(state is not None for state in before.values()) == len(EXTENSIONS)
    return wrong
