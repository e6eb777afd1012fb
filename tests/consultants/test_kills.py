"""Controllers killed at work: real processes, a real Redis, callers at random times."""

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

from callcenter.consultants.presence import PresenceService
from callcenter.consultants.redis_script import DistributorUnavailable
from callcenter.consultants.rules.states import MOVES, IllegalPresenceChange, PresenceState
from callcenter.platform.core.settings import ROOT
from callcenter.telephony.acd.distributor import RedisCallDistributor
from tests.consultants.controller import RULES, crew, stubbornly
from tests.seeds import generator

CALLERS = 200
NAMES = ("line-1", "line-2", "line-3")
KILLS = 8
PATIENCE = 120.0  # seconds for all of it, on a busy machine
EXTENSIONS = [each.extension for each in crew()]

pytestmark = pytest.mark.alone


class Switch:
    """Simulated switch, which outlives controllers: telephones, conversations, redials."""

    def __init__(self, redis: Redis, url: str) -> None:
        self.redis = redis
        self.url = url
        self.distributor = RedisCallDistributor(redis, "switch", RULES)  # tells of telephones only
        self.processes: dict[str, asyncio.subprocess.Process] = {}

    async def start(self, name: str) -> None:
        self.processes[name] = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.consultants.controller", self.url, name, cwd=ROOT
        )

    def all_live(self) -> None:
        """Assert that no controller ended by itself."""
        ended = {name: p.returncode for name, p in self.processes.items() if p.returncode}
        assert ended == {}, "controllers have failed, see what they printed"

    async def all_ready(self, presence: PresenceService) -> None:
        for extension in EXTENSIONS:
            await stubbornly(partial(presence.ask, extension, PresenceState.READY, by="self"))

    async def stop(self, name: str) -> None:
        with suppress(ProcessLookupError):
            self.processes[name].kill()
        await self.processes[name].wait()

    async def kill(self, name: str) -> None:
        """Kill a controller, hang up its telephones; callers without service redial."""
        await self.stop(name)
        while any(each["name"] == name for each in await self.redis.client_list()):
            await asyncio.sleep(0.01)  # what it sent last must be done first
        # What the switch says of a telephone outlives the controller that was to pass it on.
        at = time.time()
        silent = set(EXTENSIONS)
        for key in [key async for key in self.redis.scan_iter("test:phone:*")]:
            entry: Any = await self.redis.get(key)
            holder, extension, caller = (entry or "- - -").split(" ")
            if holder == name:
                await self.redis.delete(key, f"test:caller:{caller}")
            else:
                silent.discard(extension)
        states = dict.fromkeys(silent, "NOT_INUSE")
        await stubbornly(partial(self.distributor.update_devices, states, at))
        left: Any = await self.redis.lrange(f"test:serving:{name}", 0, -1)
        for caller in left:
            await self.redis.lrem(f"test:serving:{name}", 0, caller)
            if not await self.redis.sismember("test:served", caller):
                await self.redis.rpush("test:callers", caller)


@asynccontextmanager
async def restless(presence: PresenceService) -> AsyncIterator[None]:
    """Pause, sign out and sign in consultants at random."""

    rng = generator("restless consultants")

    async def change() -> None:
        while True:
            target = rng.choice(
                (
                    PresenceState.READY,
                    PresenceState.READY,
                    PresenceState.PAUSED,
                    PresenceState.SIGNED_OUT,
                )
            )
            with suppress(IllegalPresenceChange, DistributorUnavailable):
                await presence.ask(rng.choice(EXTENSIONS), target, by="self", reason="lunch")
            await asyncio.sleep(0.02)

    changing = asyncio.create_task(change())
    try:
        yield
    finally:
        changing.cancel()
        await asyncio.gather(changing, return_exceptions=True)


async def test_killed_controllers_never_double_ring_or_leave_leases(
    redis: Redis, redis_url: str
) -> None:
    switch, presence = Switch(redis, redis_url), PresenceService(redis, RULES)
    rng = generator("killed controllers")
    await switch.distributor.update_roster(crew())
    await switch.distributor.update_devices(dict.fromkeys(EXTENSIONS, "NOT_INUSE"), time.time())
    async with AsyncExitStack() as stack, asyncio.timeout(PATIENCE):
        for name in NAMES:
            await switch.start(name)
            stack.push_async_callback(switch.stop, name)
        async with restless(presence):
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
            await switch.all_ready(presence)
            await asyncio.sleep(0.2)
        assert await redis.lrange("test:wrong", 0, -1) == []
        while await redis.zcard("desk:idle") < len(EXTENSIONS):
            await switch.all_ready(presence)  # two offers in a row may have been missed at the end
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
    """Return illegal transitions, such as offers to a consultant who was not ready."""
    before: dict[str, PresenceState] = {}
    wrong: Counter[str] = Counter()
    entries: Any = await redis.xrange("desk:changes")
    for _, fields in entries:
        extension, state = fields["extension"], PresenceState(fields["state"])
        was = before.get(extension, PresenceState.SIGNED_OUT)
        if state is not was and state not in MOVES[was]:
            wrong[f"{was} to {state}"] += 1
        if state is PresenceState.OFFERED and was is not PresenceState.READY:
            wrong["offers in the wrong state"] += 1
        before[extension] = state
    assert sum(state is not None for state in before.values()) == len(EXTENSIONS)
    return wrong
