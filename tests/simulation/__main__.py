"""`make simulate`: runs seeds of the simulation, and shows the first that breaks a property."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from functools import partial

import click

from tests.simulation.ablation import SAFEGUARDS
from tests.simulation.scenario import FaultKind, draw
from tests.simulation.world import Result, run

PROGRESS = 100  # seeds between two lines
BY_NAME = {each.name: each for each in SAFEGUARDS}
ALL_KINDS = "all"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--seeds", default=300, show_default=True, type=click.IntRange(min=1))
@click.option("--start", default=0, show_default=True, help="The first seed.")
@click.option("--length", default=60.0, show_default=True, help="Seconds of calls and faults.")
@click.option("--jobs", default=os.cpu_count() or 1, show_default=True, help="Processes.")
@click.option("--trace", "shows_trace", is_flag=True, help="Show the trace of each seed.")
@click.option("--digest", is_flag=True, help="Show a hash of each trace.")
@click.option("--without", type=click.Choice(sorted(BY_NAME)), help="Take out a safeguard.")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice([ALL_KINDS, *(each.value for each in FaultKind)]),
    help="Draw faults of this kind alone (repeatable), or of all, each as often as the others; "
    "else those that the safeguard is for, or all that have a weight.",
)
def main(
    seeds: int,
    start: int,
    length: float,
    jobs: int,
    shows_trace: bool,
    digest: bool,
    without: str | None,
    kinds: tuple[str, ...],
) -> None:
    """Run SEEDS worlds, each with the faults of its seed; a seed repeats byte for byte."""
    began = time.perf_counter()
    calls = 0
    drawn = tuple(FaultKind if ALL_KINDS in kinds else map(FaultKind, kinds))
    if without and not drawn:
        drawn = BY_NAME[without].kinds
    work = partial(run_seed, length=length, kinds=drawn, without=without)
    for count, result in enumerate(_results(range(start, start + seeds), jobs, work), 1):
        calls += result.calls
        if digest:
            click.echo(f"{result.scenario.seed} {result.digest}")
        if shows_trace or result.violations:
            click.echo("\n".join(result.trace))
        if result.violations:
            click.echo(f"\nseed {result.scenario.seed} breaks {len(result.violations)}:")
            for each in result.violations:
                click.echo(f"  {each}")
            sys.exit(1)
        if count % PROGRESS == 0:
            click.echo(f"{count} of {seeds} seeds, {calls} calls", err=True)
    seconds = time.perf_counter() - began
    click.echo(f"{seeds} seeds, {calls} calls, {seconds:.1f} s: all properties hold")


def _results(seeds: range, jobs: int, work: Callable[[int], Result]) -> Iterator[Result]:
    if jobs == 1 or len(seeds) == 1:
        yield from map(work, seeds)
        return
    pool = ProcessPoolExecutor(jobs)
    try:
        yield from pool.map(work, seeds, chunksize=10)
    finally:
        pool.shutdown(cancel_futures=True)


def run_seed(
    seed: int, *, length: float, kinds: Sequence[FaultKind] = (), without: str | None = None
) -> Result:
    """Run one seed, perhaps with faults of some kinds alone, or without one safeguard."""
    with nullcontext() if without is None else BY_NAME[without].without():
        return run(draw(seed, length, kinds))


if __name__ == "__main__":
    main(prog_name="simulate")
