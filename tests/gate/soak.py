"""`make soak`: whole runs with fresh seeds, which find what the seed of the gate leaves out."""

import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

from tests.gate.run import Limits, Request, prepared_gate
from tests.gate.tables import row_of, text_cell
from tests.gate.verdict import Verdict
from tests.seeds import fresh_seed

FILE = Path("docs/testing/soak.md")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--minutes",
    default=60.0,
    show_default=True,
    type=click.FloatRange(min=0),
    help="After which no run begins.",
)
@click.argument("tests", nargs=-1)
def main(minutes: float, tests: tuple[str, ...]) -> None:
    """Run everything, or TESTS, with one fresh seed after the other, and note what failed.

    A row of docs/testing/soak.md has the test, the seed and the message. `scripts/test --seed
    SEED` draws the same again, and in the same order. What is found is a fault of main: mend it in
    a commit of its own.
    """
    runs, found = 0, 0
    for seed in fresh_seeds(minutes):
        with prepared_gate(Path.cwd(), Request(seed=seed, tests=tests), Limits()) as gate:
            try:
                gate.run()
            finally:  # also when the run is stopped
                found += keep(gate.verdict, str(seed))
        runs += 1
    click.echo(f"{runs} runs, {found} found" + (f": see {FILE}" if found else ""))
    sys.exit(1 if found else 0)


def fresh_seeds(minutes: float, clock: Callable[[], float] = time.monotonic) -> Iterator[int]:
    """The seed of each run that may begin: of the first, and of others until then."""
    deadline = clock() + 60 * minutes
    yield fresh_seed()
    while clock() < deadline:
        yield fresh_seed()


def keep(verdict: Verdict, drawn: str) -> int:
    """Add what a run with this seed, or under this clock, has found to FILE; how much it was.

    Raises click.UsageError if no test ran.
    """
    if verdict.ran == 0:
        raise click.UsageError(", ".join(["no test ran", *verdict.faults]))
    rows = list(rows_of(verdict, drawn))
    with FILE.open("a") as file:
        file.writelines(f"{row}\n" for row in rows)
    return len(rows)


def rows_of(verdict: Verdict, drawn: str) -> Iterator[str]:
    """A row for each test that failed, and for each fault that no test stands for."""
    today = datetime.now(UTC).date()
    for alone, failures in (
        ("passes", verdict.unsteady),
        ("quarantined", verdict.quarantined),
        ("fails", verdict.wrong),
        ("not asked", verdict.failures),
    ):
        for each in failures:
            test = f"`{text_cell(each.failure.test)}`"
            message = text_cell(f"{each.circumstances}: {each.failure.message}")
            yield row_of((str(today), drawn, test, alone, message))
    for fault in verdict.faults:
        yield row_of((str(today), drawn, "none", "", text_cell(fault)))


if __name__ == "__main__":
    main(prog_name="soak")
