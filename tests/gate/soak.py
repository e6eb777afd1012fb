"""`make soak`: whole runs with fresh seeds, which find what the seed of the gate leaves out."""

import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from tests.gate.run import Gate, Limits, Request
from tests.gate.tables import row_of, text_cell
from tests.gate.verdict import Verdict
from tests.seeds import fresh_seed

FILE = Path("docs/testing/soak.md")
LIMITS = Limits(minutes=120)  # of one run


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--minutes",
    default=60.0,
    show_default=True,
    type=click.FloatRange(min=0),
    help="No run begins that would end later, but for the first.",
)
@click.argument("tests", nargs=-1)
def main(minutes: float, tests: tuple[str, ...]) -> None:
    """Run everything, or TESTS, with one fresh seed after the other, and note what failed.

    A row of docs/testing/soak.md has the test, the seed and the message. `python -m pytest TEST
    --seed SEED` draws the same again. What is found is a fault of main: mend it in its own commit.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    runs, found, longest = 0, 0, 0.0
    deadline = time.monotonic() + 60 * minutes
    while not runs or time.monotonic() + longest < deadline:
        began, seed = time.monotonic(), fresh_seed()
        verdict = _run(seed, tests)
        rows = list(rows_of(verdict, seed))
        with FILE.open("a") as file:
            file.writelines(f"{row}\n" for row in rows)
        runs, found = runs + 1, found + len(rows)
        longest = max(longest, time.monotonic() - began)
        if not verdict.passed:
            break  # there is nothing that could pass with another seed
    click.echo(f"{runs} runs, {found} found" + (f": see {FILE}" if found else ""))
    sys.exit(1 if found else 0)


def _run(seed: int, tests: Sequence[str]) -> Verdict:
    with tempfile.TemporaryDirectory(prefix="g", dir="/tmp", ignore_cleanup_errors=True) as folder:
        gate = Gate(Path.cwd(), Path(folder), Request(seed=seed, tests=tests), LIMITS)
        try:
            gate.run()
        except KeyboardInterrupt:
            gate.stop()
            sys.exit(130)
    return gate.verdict


def rows_of(verdict: Verdict, seed: int) -> Iterator[str]:
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
            yield row_of((str(today), str(seed), test, alone, message))
    for fault in verdict.faults:
        yield row_of((str(today), str(seed), "none", "", text_cell(fault)))


if __name__ == "__main__":
    main(prog_name="soak")
