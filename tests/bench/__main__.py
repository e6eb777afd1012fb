"""The benchmark: `python -m tests.bench compare` (what `make bench` runs), and more by name."""

import asyncio
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from callcenter.errors import CallcenterError
from callcenter.settings import ROOT
from tests.bench import compare as comparing
from tests.bench.machine import about
from tests.bench.results import Sample, save
from tests.bench.rig import prompts

RESULTS = ROOT / "bench" / "results"

_begun = time.monotonic()


def say(words: str) -> None:
    """Progress, with the minutes since the beginning."""
    minutes, seconds = divmod(int(time.monotonic() - _begun), 60)
    click.echo(f"{minutes:2}:{seconds:02}  {words}")


class Keeper:
    """Writes what there is so far, so that an interrupted run is not lost."""

    def __init__(self, name: str) -> None:
        self.path = RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{name}.json"
        self._about = about(" ".join(["python -m tests.bench", *sys.argv[1:]]))

    def __call__(self, samples: Sequence[Sample]) -> None:
        save(self.path, self._about, samples)


@click.group()
def main() -> None:
    """Measure ours, by itself and against the switch alone. Wants a quiet machine."""


@main.command()
@click.option("--rounds", default=3, type=click.IntRange(1), show_default=True)
def compare(rounds: int) -> None:
    """Ours against a plain dialplan of the same Asterisk, in turn."""
    keep = Keeper("compare")
    budget = comparing.Budget(rounds=rounds, holds=1 if rounds == 1 else 2)
    samples = asyncio.run(comparing.compare(budget, prompts(), say, keep))
    click.echo("\n" + comparing.comparison(samples))
    click.echo(f"\n{_shown(keep.path)}")


def _shown(path: Path) -> str:
    return f"results: {path.relative_to(ROOT)}"


if __name__ == "__main__":
    try:
        main()
    except CallcenterError as exc:
        sys.exit(f"benchmark: {exc}")
