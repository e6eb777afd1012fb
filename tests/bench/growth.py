"""Does a call cost more when there are more calls, more consultants, more appeals? It must not."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench.packets import sides_with
from tests.bench.results import Middle, Sample, table
from tests.bench.rig import rig, use
from tests.bench.sides import Stock
from tests.bench.telephones import SECOND_KEY

RATE = 4.0
AT_ONCE = (10, 100, 300)
FRAMES = 3  # of 20 ms in a packet of theirs: two cores carry no 300 with less
CONSULTANTS = (10, 500)
APPEALS = (10_000, 1_000_000)
SECONDS = 10.0
TIMES = 3  # measured one after another; the median is shown
SHORT_TALK = 0.5  # so that ten consultants are enough
FREE = 10  # consultants
BEGIN, LONG_TALK = 15.0, 180.0  # those who only talk: new ones a second, and for how long at most

Say = Callable[[str], None]


async def growth(built: Path, say: Say, keep: Callable[[Sequence[Sample]], None]) -> list[Sample]:
    """Samples for each size of each kind."""
    samples: list[Sample] = []
    sizes = [("calls at once", count, Stock(count + FREE), FRAMES) for count in AT_ONCE]
    sizes += [("consultants", count, Stock(count), 1) for count in CONSULTANTS]
    sizes += [("appeals", count, Stock(FREE, count), 1) for count in APPEALS]
    for kind, size, stock, frames in sizes:
        talking = size if kind == "calls at once" else 0
        found = await _one(kind, size, stock, talking, frames, built)
        samples += found
        say(f"{kind} {size}: {Middle.of(s.total_cpu for s in found).text()} ms a call")
        keep(samples)
    return samples


async def _one(
    kind: str, size: int, stock: Stock, talking: int, frames: int, built: Path
) -> list[Sample]:
    """Short calls at a steady rate, while so many others are in conversation."""
    async with rig(sides_with(frames)["ours"], stock, built, frames) as running:
        pauses = iter([1 / BEGIN] * talking)
        others = asyncio.create_task(running.load(pauses, LONG_TALK, lambda _: True))
        if talking:
            await asyncio.sleep(talking / BEGIN + SECOND_KEY + 2)
            running.idle = await use(running.side)  # what the others use is not these calls' cost
        samples = [
            await running.measure(kind, RATE, SECONDS, SHORT_TALK, size=size) for _ in range(TIMES)
        ]
        others.cancel()
        await asyncio.gather(others, return_exceptions=True)
    return samples


def shown(samples: Sequence[Sample]) -> str:
    """One row for each size: medians."""
    names = list(samples[0].cpu)
    heads = ("what", "size", *names, "ours without the switch", "answer p95", "ring p95", "failed")
    rows = [heads]
    for kind, size in dict.fromkeys((sample.kind, sample.more["size"]) for sample in samples):
        found = [s for s in samples if s.kind == kind and s.more["size"] == size]
        columns = (
            *([sample.cpu[name] for sample in found] for name in names),
            [sample.total_cpu - sample.cpu["asterisk"] for sample in found],
            [sample.answer.p95 for sample in found],
            [sample.ring.p95 for sample in found],
        )
        cells = [f"{Middle.of(column).median:.1f}" for column in columns]
        rows.append((kind, f"{size:g}", *cells, str(sum(sample.failed for sample in found))))
    return "CPU ms a call, by process; latencies in ms\n" + table(rows)
