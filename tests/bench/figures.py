"""What one call costs: latencies of few calls at once, CPU by process, memory of a live call."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from tests.bench.results import Middle, Sample, table
from tests.bench.rig import Rig, rig
from tests.bench.sides import Plain, Product, Stock
from tests.bench.telephones import SECOND_KEY, PlacedCall

CONSULTANTS = 120
AT_ONCE = {1: 15, 20: 6}  # calls at once, and how many follow one after another in each place
TALK = 1.0
RATE, SECONDS, TIMES = 10.0, 6.0, 3  # for CPU: the median of so many
LIVE = 100  # calls whose memory is measured
LIVE_RATE, LIVE_TALK = 20.0, 12.0

Say = Callable[[str], None]


async def figures(built: Path, say: Say, keep: Callable[[Sequence[Sample]], None]) -> list[Sample]:
    """All samples: lanes of both sides, then CPU and memory of ours."""
    samples: list[Sample] = []
    for make in (Plain, Product):
        async with rig(make, Stock(CONSULTANTS), built) as running:
            await running.lanes(5, 2, TALK)  # the first calls of a process find nothing warm
            for count, each in AT_ONCE.items():
                say(f"{make.name}: {count} at once")
                samples.append(await running.lanes(count, each, TALK))
            if make is Product:
                # Memory first: what the processes have freed they would use again, unseen.
                say(f"memory of {LIVE} live calls")
                samples.append(await live(running))
                say(f"CPU at {RATE:g}/s")
                samples += [await running.measure("cpu", RATE, SECONDS) for _ in range(TIMES)]
        keep(samples)
    return samples


async def live(running: Rig) -> Sample:
    """`LIVE` calls in conversation; `more` has the controllers' bytes before, and a live call's."""
    before, at_height = running.memory()["line"], 0.0

    async def load() -> list[PlacedCall]:
        nonlocal at_height
        pauses = iter([1 / LIVE_RATE] * LIVE)
        calling = asyncio.create_task(running.load(pauses, LIVE_TALK, lambda _: True))
        await asyncio.sleep(LIVE / LIVE_RATE + SECOND_KEY + 2)
        at_height = running.memory()["line"]
        return await calling

    sample = await running.sample("live", LIVE, LIVE_TALK, load(), {})
    return replace(sample, more={"before": before, "bytes a call": (at_height - before) / LIVE})


def shown(samples: Sequence[Sample]) -> str:
    """The tables."""
    rows = [("calls at once", "side", "INVITE to 200 p50/p95", "key to INVITE p50/p95", "failed")]
    for sample in samples:
        if sample.kind == "lanes":
            answer, ring = sample.answer, sample.ring
            rows.append(
                (
                    f"{sample.rate:g}",
                    sample.side,
                    f"{answer.p50:.1f} / {answer.p95:.1f} ms",
                    f"{ring.p50:.1f} / {ring.p95:.1f} ms",
                    f"{sample.failed} of {sample.calls}",
                )
            )
    lines = [table(rows), ""]
    for sample in samples:
        if sample.kind == "live":
            lines += [
                f"controllers: {sample.more['before'] / 1e6:.1f} MB, and "
                f"{sample.more['bytes a call'] / 1000:.1f} KB for each of {LIVE} live calls"
            ]
    measured = [sample.cpu for sample in samples if sample.kind == "cpu"]
    cells = [(name, Middle.of(cpu[name] for cpu in measured).text()) for name in measured[0]]
    return "\n".join([*lines, "", table([("process", f"CPU ms a call at {RATE:g}/s"), *cells])])
