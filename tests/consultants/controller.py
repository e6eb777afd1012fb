"""A controller in a process of its own that serves made-up callers: for tests that kill it.

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

from callcenter.consultants.desk import Desk, Place
from callcenter.consultants.script import DeskClosed, PlainRules
from callcenter.consultants.store import Consultant
from tests.seeds import SeededRandom, generator

T = TypeVar("T")
CALLERS = 30  # that one controller serves at once
RULES = PlainRules(wrap_up=0.02)


def crew() -> list[Consultant]:
    """Fifty consultants, of whom some speak one language and some have skills."""
    languages = (("kk", "ru"), ("kk", "ru"), ("kk",), ("ru",))
    return [
        Consultant(uuid4(), str(200 + n), "-", languages[n % 4], "", True, {"lawyer": n % 5 + 1})
        for n in range(50)
    ]


class Controller:
    """Takes callers from `test:callers` for as long as it lives."""

    def __init__(self, redis: Redis, name: str) -> None:
        self.redis = redis
        self.name = name
        self.desk = Desk(redis, name, RULES)

    async def run(self) -> None:
        await stubbornly(lambda: self.desk.tell_roster(crew()))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.desk.run())
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
        """A caller is `NUMBER`; the call is a new one each time."""
        rng = generator(f"caller {caller}")
        language = rng.choice(("kk", "ru"))
        wanted = rng.choice((None, None, "lawyer"))
        preferred = rng.choice((None, str(200 + int(caller) % 50)))
        call = f"{caller}.{uuid4().hex[:6]}"
        while True:
            try:
                async with self.desk.place(
                    call, language, skill=wanted, level=2, preferred=preferred
                ) as place:
                    if await self._one_after_another(place, caller, rng):
                        return
            except DeskClosed:
                await asyncio.sleep(0.1)

    async def _one_after_another(self, place: Place, caller: str, rng: SeededRandom) -> bool:
        while (consultant := await place.offer(60)) is not None:
            answered = await self._rung(place, caller, consultant.extension, rng)
            if answered:
                return True
            await stubbornly(lambda: place.give_back(unanswered=True))
        return False

    async def _rung(self, place: Place, caller: str, extension: str, rng: SeededRandom) -> bool:
        telephone, leg = f"test:phone:{extension}", f"test:caller:{caller}"
        for key in (telephone, leg):
            if not await self.redis.set(key, f"{self.name} {extension} {caller}", nx=True):
                other: Any = await self.redis.get(key)
                await self.redis.rpush("test:wrong", f"{key} for {self.name} and {other}")
        place.rings()
        await self._tell(extension, "RINGING")
        await asyncio.sleep(rng.uniform(0, 0.1))
        answers = place.consultant is not None and rng.random() < 0.9
        if answers:
            if not await self.redis.sadd("test:served", caller):
                await self.redis.rpush("test:wrong", f"{caller} served twice")
            place.answered()
            await self._tell(extension, "INUSE")
            await asyncio.sleep(rng.uniform(0.1, 0.4))
        await self.redis.delete(telephone, leg)
        await self._tell(extension, "NOT_INUSE")
        return answers

    async def _tell(self, extension: str, state: str) -> None:
        at = time.time()
        await stubbornly(lambda: self.desk.tell_devices({extension: state}, at))


async def stubbornly(work: Callable[[], Awaitable[T]]) -> T:
    """Until it is done: on a machine that stands still for seconds the desk counts as closed."""
    while True:
        try:
            return await work()
        except DeskClosed:
            await asyncio.sleep(0.1)


async def main(url: str, name: str) -> None:
    async with Redis.from_url(url, decode_responses=True, client_name=name) as redis:
        await Controller(redis, name).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
