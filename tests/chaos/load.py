"""Callers and consultants who go on whatever fails, and what each of them lived through."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise

from callcenter.demo.call import Call
from callcenter.demo.phone import Phone
from callcenter.demo.sound import RATE, loudness
from callcenter.errors import CallcenterError
from tests.calls.house import CALLER_TONE, CONSULTANT_TONE, House

SILENCE = 3.0  # seconds
FAILED = (CallcenterError, TimeoutError, OSError)


@dataclass(eq=False, slots=True)
class Attempt:
    """One call to 111, as the caller lived through it."""

    number: str
    call: Call | None = None
    answered: bool = False
    talked: bool = False
    talks: bool = False  #: now

    def longest_gap(self, since: float) -> float:
        """Seconds between two packets that reached the caller."""
        assert self.call is not None
        arrived = [p.arrived_at for p in self.call.heard.packets if p.arrived_at >= since]
        return max((after - before for before, after in pairwise(arrived)), default=0.0)


@dataclass
class Load:
    """All callers of a run. While `calm` is not set conversations go on."""

    house: House
    rng: random.Random
    attempts: list[Attempt] = field(default_factory=list)
    calm: asyncio.Event = field(default_factory=asyncio.Event)
    callers: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.calm.set()

    @property
    def talking(self) -> list[Attempt]:
        return [attempt for attempt in self.attempts if attempt.talks]

    def begin(self) -> None:
        """One more caller, with a story by chance."""
        number = f"+7705{len(self.attempts):07}"
        story = self.rng.choices(("leaves", "chooses", "waits", "talks"), (1, 1, 1, 4))[0]
        attempt = Attempt(number)
        self.attempts.append(attempt)
        task = asyncio.create_task(self._lives(attempt, story, self.rng.uniform(1, 5)))
        self.callers.add(task)
        task.add_done_callback(self.callers.discard)

    async def _lives(self, attempt: Attempt, story: str, patience: float) -> None:
        async with self.house.phone(attempt.number) as phone:
            try:
                call = attempt.call = await phone.call("111")
                await call.answered()
                attempt.answered = True
                call.send_tone(CALLER_TONE)
                await asyncio.sleep(0.3)
                if story in ("waits", "talks"):
                    await call.press("0")
                    await self._talks(attempt, call, patience, 60 if story == "talks" else patience)
                elif story == "chooses":
                    await call.press("2")
                    await asyncio.sleep(patience)
                else:
                    await asyncio.sleep(patience / 3)
                await call.hang_up()
            except FAILED:
                if attempt.call is not None:
                    attempt.call.drop()

    async def _talks(self, attempt: Attempt, call: Call, length: float, patience: float) -> None:
        """Wait for a consultant, then talk, and on while somebody injects a fault."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._is_connected(attempt, call)
        if not attempt.talked:
            return
        attempt.talks = not call.is_over
        try:
            await asyncio.sleep(length)
            await self.calm.wait()
        finally:
            attempt.talks = False

    async def _is_connected(self, attempt: Attempt, call: Call) -> None:
        while not (attempt.talked or call.is_over):
            attempt.talked = _hears_a_consultant(call)
            await asyncio.sleep(0.2)


def is_dead(call: Call) -> bool:
    """Whether no sound comes for seconds, as when the switch was killed: nobody says goodbye."""
    packets = call.heard.packets
    return bool(packets) and time.monotonic() - packets[-1].arrived_at > SILENCE


def _hears_a_consultant(call: Call) -> bool:
    """For a whole second: speech has the consultant's tone in it too, for shorter."""
    second = call.heard.pcm()[-RATE:]
    fifths = [second[begin : begin + RATE // 5] for begin in range(0, RATE, RATE // 5)]
    return len(second) == RATE and all(loudness(each, CONSULTANT_TONE) > -30 for each in fifths)


@asynccontextmanager
async def at_work(house: House, extension: str) -> AsyncIterator[None]:
    """A consultant who takes every call, and registers anew as telephones do."""
    async with house.softphone(extension) as phone:
        await phone.register()
        tasks = [asyncio.create_task(_takes_calls(phone)), asyncio.create_task(_registers(phone))]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _takes_calls(phone: Phone) -> None:
    while True:
        try:
            leg = await phone.next_call(3600)
            await leg.answer()
            leg.send_tone(CONSULTANT_TONE)
            while not leg.is_over and not is_dead(leg):
                await asyncio.sleep(0.2)
            leg.drop()
        except FAILED:
            continue


async def _registers(phone: Phone) -> None:
    while True:
        await asyncio.sleep(5)
        try:
            await phone.register()
        except FAILED:
            continue
