"""CPU a call of ours at one rate: the quick look while something is being made cheaper."""

from dataclasses import replace
from pathlib import Path

from tests.bench.results import Sample
from tests.bench.rig import rig
from tests.bench.sides import Product, Stock

CONSULTANTS = 120
COMMITS = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"


async def cost(rate: float, seconds: float, built: Path) -> Sample:
    """One sample; `more` has the commits of the database, a call."""
    sides: list[Product] = []

    def make(folder: Path, prompts: Path, stock: Stock) -> Product:
        sides.append(Product(folder, prompts, stock))
        return sides[0]

    async with rig(make, Stock(CONSULTANTS), built) as running:
        await running.lanes(5, 2, 1.0)  # the first calls of a process find nothing warm
        before = await _commits(sides[0])
        sample = await running.measure("cost", rate, seconds)
        commits = await _commits(sides[0]) - before
    return replace(sample, more={"commits": commits / sample.calls})


async def _commits(side: Product) -> int:
    """As PostgreSQL has counted them so far: its processes tell a second later at most."""
    return int((await side.query(COMMITS))[0][0])
