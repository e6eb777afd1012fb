"""Does a call cost more when there are more calls, more consultants, more appeals? It must not."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from tests.bench.results import Sample, table
from tests.bench.rig import rig
from tests.bench.sides import Product, Stock
from tests.bench.telephones import SECOND_KEY

RATE = 4.0
AT_ONCE = (10, 100, 300)
CONSULTANTS = (10, 500)
APPEALS = (10_000, 1_000_000)
SECONDS = 20.0
SHORT_TALK = 0.5  # so that ten consultants are enough

Say = Callable[[str], None]


async def growth(built: Path, say: Say, keep: Callable[[Sequence[Sample]], None]) -> list[Sample]:
    """A sample for each size of each kind."""
    samples: list[Sample] = []
    for count in AT_ONCE:
        talk = count / RATE - SECOND_KEY
        samples.append(await _one("calls at once", count, Stock(count + 20), talk, built))
        say(_line(samples[-1]))
        keep(samples)
    for count in CONSULTANTS:
        samples.append(await _one("consultants", count, Stock(count), SHORT_TALK, built))
        say(_line(samples[-1]))
        keep(samples)
    for count in APPEALS:
        stock = Stock(CONSULTANTS[0], count)
        samples.append(await _one("appeals", count, stock, SHORT_TALK, built))
        say(_line(samples[-1]))
        keep(samples)
    return samples


async def _one(kind: str, size: int, stock: Stock, talk: float, built: Path) -> Sample:
    async with rig(Product, stock, built) as running:
        seconds = max(SECONDS, talk + SECONDS / 2)
        sample = await running.measure(kind, RATE, seconds, talk)
    return replace(sample, more={"size": size})


def _line(sample: Sample) -> str:
    return f"{sample.kind} {sample.more['size']:g}: {sample.total_cpu:.1f} ms a call"


def shown(samples: Sequence[Sample]) -> str:
    """One row for each size. Asterisk's own share grows with the seconds that are talked."""
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
