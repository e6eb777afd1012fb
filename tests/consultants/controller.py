"""Controller process that serves simulated callers, for tests that kill it.

The keys `test:*` are the switch's side of it, which no death of a controller changes: whose
telephone rings or talks, and which caller is with whom. What must never happen is put on
`test:wrong`.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from uuid import uuid4

from redis.asyncio import Redis

from callcenter.consultants.redis_script import DistributorUnavailable, PlainRules
from callcenter.consultants.store import Consultant
from callcenter.telephony.acd.distributor import RedisCallDistributor, RedisQueuePlace
from callcenter.telephony.acd.rules.transfer_target import TransferTarget
from tests.seeds import SeededRandom, generator

T = TypeVar("T")
CALLERS = 30  # that one controller serves at once
RULES = PlainRules(wrap_up=0.02)


def crew() -> list[Consultant]:
    """Return fifty consultants; some speak one language, some have skills."""
    languages = (("kk", "ru"), ("kk", "ru"), ("kk",), ("ru",))
    return [
        Consultant(uuid4(), str(200 + n), "-", languages[n % 4], "", True, {"lawyer": n % 5 + 1})
        for n in range(50)
    ]


class Controller:
    """Serves callers from `test:callers` until it is killed."""

    def __init__(self, redis: Redis, name: str) -> None:
        self.redis = redis
        self.name = name
        self.distributor = RedisCallDistributor(redis, name, RULES)

    async def run(self) -> None:
        await stubbornly(lambda: self.distributor.update_roster(crew()))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.distributor.run())
            for _ in range(CALLERS):
                tasks.create_task(self._serve_callers())

    async def _serve_callers(self) -> None:
        mine = f"test:serving:{self.name}"
        while True:
            caller = await self.redis.lmove("test:callers", mine, "LEFT", "RIGHT")
            if caller is None:
                await asyncio.sleep(0.05)
                continue
            await self._serve(str(caller))
            await self.redis.lrem(mine, 0, str(caller))

    async def _serve(self, caller: str) -> None:
        """Serve a caller `NUMBER`, with a new call each time."""
        rng = generator(f"caller {caller}")
        language = rng.choice(("kk", "ru"))
        skill = rng.choice((None, None, "lawyer"))
        preferred = rng.choice((None, str(200 + int(caller) % 50)))
        call = f"{caller}.{uuid4().hex[:6]}"
        while True:
            try:
                async with self.distributor.place(
                    call, language, target=TransferTarget(skill=skill, level=2), preferred=preferred
                ) as place:
                    if await self._one_after_another(place, caller, rng):
                        return
            except DistributorUnavailable:
                await asyncio.sleep(0.1)

    async def _one_after_another(
        self, place: RedisQueuePlace, caller: str, rng: SeededRandom
    ) -> bool:
        while (consultant := await place.wait_for_offer(60)) is not None:
            answered = await self._rung(place, caller, consultant.extension, rng)
            if answered:
                return True
            await stubbornly(lambda: place.release(unanswered=True))
        return False

    async def _rung(
        self, place: RedisQueuePlace, caller: str, extension: str, rng: SeededRandom
    ) -> bool:
        telephone, leg = f"test:phone:{extension}", f"test:caller:{caller}"
        for key in (telephone, leg):
            if not await self.redis.set(key, f"{self.name} {extension} {caller}", nx=True):
                other: Any = await self.redis.get(key)
                await self.redis.rpush("test:wrong", f"{key} for {self.name} and {other}")
        place.mark_ringing()
        await self._tell(extension, "RINGING")
        await asyncio.sleep(rng.uniform(0, 0.1))
        answers = place.consultant is not None and rng.random() < 0.9
        if answers:
            if not await self.redis.sadd("test:served", caller):
                await self.redis.rpush("test:wrong", f"{caller} served twice")
            place.mark_answered()
            await self._tell(extension, "INUSE")
            await asyncio.sleep(rng.uniform(0.1, 0.4))
        await self.redis.delete(telephone, leg)
        await self._tell(extension, "NOT_INUSE")
        return answers

    async def _tell(self, extension: str, state: str) -> None:
        at = time.time()
        await stubbornly(lambda: self.distributor.update_devices({extension: state}, at))


async def stubbornly(work: Callable[[], Awaitable[T]]) -> T:
    """Retry until done: on a machine that stalls for seconds Redis seems unavailable."""
    while True:
        try:
            return await work()
        except DistributorUnavailable:
            await asyncio.sleep(0.1)


async def main(url: str, name: str) -> None:
    # Commands that wait have limits of their own, as in platform/storage/redis.py.
    async with Redis.from_url(
        url, decode_responses=True, client_name=name, socket_timeout=None
    ) as redis:
        await Controller(redis, name).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
