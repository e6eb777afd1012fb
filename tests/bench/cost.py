"""CPU a call at one rate, of ours or of both sides: while something is being made cheaper, and for
conversations as long as real ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from tests.bench.compare import SIDES, line
from tests.bench.results import Middle, Sample, table
from tests.bench.rig import rig
from tests.bench.sides import Plain, Product, Stock
from tests.bench.telephones import SECOND_KEY

SPARE = 50  # consultants more than talk at once
COMMITS = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"

Say = Callable[[str], None]


async def costs(
    names: Sequence[str],
    rounds: int,
    rate: float,
    seconds: float,
    talk: float,
    built: Path,
    say: Say,
    keep: Callable[[Sequence[Sample]], None],
) -> list[Sample]:
    """A sample of each side in each round, in turn; `more` has the database's commits a call."""
    samples: list[Sample] = []
    for _ in range(rounds):
        for name in names:
            samples.append(await _cost(SIDES[name], rate, seconds, talk, built))
            say(line(samples[-1]))
            keep(samples)
    return samples


async def _cost(
    kind: type[Plain] | type[Product], rate: float, seconds: float, talk: float, built: Path
) -> Sample:
    sides: list[Plain | Product] = []

    def make(folder: Path, prompts: Path, stock: Stock) -> Plain | Product:
        sides.append(kind(folder, prompts, stock))
        return sides[0]

    at_once = round(min(rate * (talk + SECOND_KEY), rate * seconds))
    async with rig(make, Stock(at_once + SPARE), built) as running:
        await running.lanes(5, 2, 1.0)  # the first calls of a process find nothing warm
        before = await _commits(sides[0])
        sample = await running.measure("cost", rate, seconds, talk)
        commits = await _commits(sides[0]) - before
    return replace(sample, more={"commits": commits / sample.calls})


async def _commits(side: Plain | Product) -> int:
    """As PostgreSQL has counted them so far: its processes tell a second later at most."""
    return int((await side.query(COMMITS))[0][0])


def shown(samples: Sequence[Sample]) -> str:
    """A row for each side: medians over the rounds."""
    names = list(dict.fromkeys(name for sample in samples for name in sample.cpu))
    rows: list[tuple[str, ...]] = [
        ("CPU ms a call", *names, "all", "generator", "answer p50", "ring p50", "commits", "failed")
    ]
    for side in dict.fromkeys(sample.side for sample in samples):
        found = [sample for sample in samples if sample.side == side]
        cells = [Middle.of(s.cpu[name] for s in found if name in s.cpu).text() for name in names]
        others = (
            [sample.total_cpu for sample in found],
            [sample.generator for sample in found],
            [sample.answer.p50 for sample in found],
            [sample.ring.p50 for sample in found],
            [sample.more["commits"] for sample in found],
            [float(sample.failed) for sample in found],
        )
        rows.append((side, *cells, *(Middle.of(values).text() for values in others)))
    return table(rows)
