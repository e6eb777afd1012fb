"""A side with its telephones, and how a load on it is measured."""

import asyncio
import gc
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callcenter.platform.core.settings import ROOT, Settings
from callcenter.telephony.calls.prompts.build import build
from tests.asterisk.switch import CONSULTANTS, OPERATOR, PASSWORD
from tests.bench.facts import Fact, facts
from tests.bench.results import ANSWER_LIMIT, Recordings, Sample, Spread, faults, merged
from tests.bench.sides import Side, Stock
from tests.bench.stock import extensions
from tests.bench.telephones import SECOND_KEY, Callers, Consultants, PlacedCall
from tests.bench.usage import cpu_seconds, memory_bytes
from tests.polling import NotInTime

TALK = 4.0  # seconds from the key to the caller's hang-up
REAL_TIME_PRIORITY = 1  # the least of that class
IDLE = 3.0  # seconds over which the use of an idle side is measured


def prompts() -> Path:
    """The prompts that both sides play, built once."""
    settings = Settings(_env_file=None, var=ROOT / "var" / "bench")
    build(settings, lambda done, every: None)
    return settings.prompts


@dataclass
class Rig:
    """One running side and everybody who telephones."""

    side: Side
    callers: Callers
    consultants: Consultants
    idle: dict[str, float]  #: CPU seconds a second, by process

    async def load(
        self,
        pauses: Iterator[float],
        talk: float,
        watch: Callable[[list[PlacedCall]], bool],
        limit: float | None = None,
    ) -> list[PlacedCall]:
        """Place a call after each pause (seconds), until there is none or `watch` says stop.

        Calls that are not over `limit` seconds after the first one began have a fault.
        """
        calls: list[PlacedCall] = []
        tasks: list[asyncio.Task[None]] = []
        due = begun = time.monotonic()
        try:
            for pause in pauses:
                tasks.append(asyncio.create_task(self.callers.call(talk, calls)))
                due += pause
                await asyncio.sleep(due - time.monotonic())
                if not watch(calls) or (limit and due - begun > limit):
                    break
            await _over(tasks, None if limit is None else begun + limit - time.monotonic())
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for call in calls:
            if call.ended_at is None and call.fault is None:
                call.fault = "not over in time"
        return calls

    async def facts(self, calls: Sequence[PlacedCall]) -> list[Fact]:
        """What became of the calls, once all of it is written down (or never will be)."""
        numbers = [call.number for call in calls if call.answered_at is not None]
        with suppress(NotInTime):  # the calls concerned count as faults
            await self.side.settled(numbers)
        legs = await self.side.legs(numbers, self.consultants.legs)
        return facts(calls, legs, await self.side.stored(numbers))

    async def measure(
        self, kind: str, rate: float, seconds: float, talk: float = TALK, **more: float
    ) -> Sample:
        """Calls at a steady rate for so long, until all of them are over and written down."""
        planned = max(1, round(rate * seconds))

        def worth(calls: Sequence[PlacedCall]) -> bool:
            return kind != "hold" or may_hold(calls, planned)

        load = self.load(iter([1 / rate] * planned), talk, worth)
        return await self.sample(kind, rate, talk, load, more)

    async def lanes(self, count: int, each: int, talk: float) -> Sample:
        """`count` calls at once: as many callers, begun evenly, each calling `each` times."""
        length = SECOND_KEY + talk
        calls: list[PlacedCall] = []

        async def lane(number: int) -> None:
            await asyncio.sleep(number * length / count)
            for _ in range(each):
                await self.callers.call(talk, calls)

        async def load() -> list[PlacedCall]:
            await asyncio.gather(*map(lane, range(count)))
            return calls

        return await self.sample("lanes", count, talk, load(), {})

    async def sample(
        self,
        kind: str,
        rate: float,
        talk: float,
        load: Coroutine[Any, Any, list[PlacedCall]],
        more: dict[str, float],
    ) -> Sample:
        """Everything there is to say about a load, from its first call until all is written."""
        self.consultants.legs.clear()
        roots = self.side.roots()
        begun, before, own = time.monotonic(), cpu_seconds(roots), time.process_time()
        calls = await load
        found = await self.facts(calls)
        took, after = time.monotonic() - begun, cpu_seconds(roots)
        own = time.process_time() - own
        stored = Recordings.of(found)
        above_idle = {
            name: (after[name] - before[name] - self.idle[name] * took) * 1000 / len(calls)
            for name in roots
        }
        return Sample(
            side=self.side.name,
            kind=kind,
            rate=rate,
            talk=talk,
            calls=len(calls),
            faults=faults(found),
            answer=Spread.of(fact.answer for fact in found),
            ring=Spread.of(fact.ring for fact in found),
            cpu=merged(above_idle),
            generator=own * 1000 / len(calls),
            memory=self.memory(),
            recorded=stored.bytes,
            missing=stored.missing,
            off=stored.off,
            short=stored.short,
            difference=Spread.of(None if f.short is None else abs(f.short) for f in found),
            more=more,
        )

    def memory(self) -> dict[str, float]:
        """Bytes that each kind of process uses now."""
        return merged(memory_bytes(self.side.roots()))


def may_hold(calls: Sequence[PlacedCall], planned: int) -> bool:
    """Whether it is worth going on: not once the 95th percentile of all must be too late."""
    now = time.monotonic()
    late = ((call.answered_at or now) - call.invite_at > ANSWER_LIMIT / 1000 for call in calls)
    return sum(late) <= planned / 20 and not any(call.fault is not None for call in calls)


@asynccontextmanager
async def rig(
    make: Callable[[Path, Path, Stock], Side], stock: Stock, built: Path, frames: int = 1
) -> AsyncIterator[Rig]:
    """A side that has just been started, with all its consultants registered and free.

    Telephones send packets of so many frames of 20 ms.
    """
    with tempfile.TemporaryDirectory(prefix="cc-bench-") as folder:
        side = make(Path(folder) / "v", built, stock)
        try:
            await side.start()
            server = (str(side.settings.sip_address), side.settings.sip_port)
            async with (
                Consultants(server, CONSULTANTS, PASSWORD, frames) as consultants,
                Callers(server, OPERATOR, frames) as callers,
            ):
                await consultants.register(extensions(stock.consultants))
                await side.consultants_free()
                running = Rig(side, callers, consultants, await use(side))
                with _first(), _steady():
                    yield running
        finally:
            await side.stop()


async def use(side: Side) -> dict[str, float]:
    """CPU seconds a second that each process uses with what it has to do now."""
    await asyncio.sleep(1)  # what starting left to do
    roots = side.roots()
    begun, before = time.monotonic(), cpu_seconds(roots)
    await asyncio.sleep(IDLE)
    took, after = time.monotonic() - begun, cpu_seconds(roots)
    return {name: (after[name] - before[name]) / took for name in roots}


async def _over(calls: Sequence[asyncio.Task[None]], within: float | None) -> None:
    """Return when all are over, or after so many seconds. Raises what one of them raised."""
    if calls:
        over, _ = await asyncio.wait(calls, timeout=None if within is None else max(0.0, within))
        for call in over:
            call.result()


@contextmanager
def _first() -> Iterator[None]:
    """Before all else on the processors meanwhile: real telephones have some of their own.

    Else a side that leaves none makes the telephones late, and that looks like its own lateness.
    In the class for real time, which the kernel takes off a processor's capacity: a nice value of
    -20 made it balance the other processes by 80 times the weight that telephones need, and put
    all of a side on the other processor. Without the right to do so (root) they are as the others.
    """
    with suppress(PermissionError):
        os.sched_setscheduler(
            0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(REAL_TIME_PRIORITY)
        )
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


@contextmanager
def _steady() -> Iterator[None]:
    """Collect no garbage meanwhile: a pause of the generator would look like one of the switch."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
