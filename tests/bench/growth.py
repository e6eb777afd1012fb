"""Does a call cost more when there are more calls, more consultants, more appeals? It must not."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from tests.bench.results import Sample, table
from tests.bench.rig import rig, use
from tests.bench.sides import Product, Stock
from tests.bench.telephones import SECOND_KEY

RATE = 4.0
AT_ONCE = (10, 100, 300)
CONSULTANTS = (10, 500)
APPEALS = (10_000, 1_000_000)
SECONDS = 15.0
SHORT_TALK = 0.5  # so that ten consultants are enough
FREE = 10  # consultants
BEGIN, LONG_TALK = 15.0, 90.0  # those who only talk: new ones a second, and for how long

Say = Callable[[str], None]


async def growth(built: Path, say: Say, keep: Callable[[Sequence[Sample]], None]) -> list[Sample]:
    """A sample for each size of each kind."""
    samples: list[Sample] = []
    sizes = [("calls at once", count, Stock(count + FREE), count) for count in AT_ONCE]
    sizes += [("consultants", count, Stock(count), 0) for count in CONSULTANTS]
    sizes += [("appeals", count, Stock(FREE, count), 0) for count in APPEALS]
    for kind, size, stock, talking in sizes:
        samples.append(await _one(kind, size, stock, talking, built))
        say(f"{kind} {size}: {samples[-1].total_cpu:.1f} ms a call")
        keep(samples)
    return samples


async def _one(kind: str, size: int, stock: Stock, talking: int, built: Path) -> Sample:
    """Short calls at a steady rate, while so many others are in conversation."""
    async with rig(Product, stock, built) as running:
        pauses = iter([1 / BEGIN] * talking)
        others = asyncio.create_task(running.load(pauses, LONG_TALK, lambda _: True))
        if talking:
            await asyncio.sleep(talking / BEGIN + SECOND_KEY + 2)
            running.idle = await use(running.side)  # what the others use is not these calls' cost
        sample = await running.measure(kind, RATE, SECONDS, SHORT_TALK)
        others.cancel()
        await asyncio.gather(others, return_exceptions=True)
    return replace(sample, more={"size": size})


def shown(samples: Sequence[Sample]) -> str:
    """One row for each size."""
    names = list(samples[0].cpu)
    heads = ("what", "size", *names, "ours without the switch", "answer p95", "ring p95", "failed")
    rows = [heads]
    for sample in samples:
        ours = sample.total_cpu - sample.cpu["asterisk"]
        rows.append(
            (
                sample.kind,
                f"{sample.more['size']:g}",
                *(f"{sample.cpu[name]:.1f}" for name in names),
                f"{ours:.1f}",
                f"{sample.answer.p95:.1f}",
                f"{sample.ring.p95:.1f}",
                str(sample.failed),
            )
        )
    return "CPU ms a call, by process; latencies in ms\n" + table(rows)
