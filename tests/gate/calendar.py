"""`make calendar`: what computes, under a clock that is set to awkward hours and days."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from tests.clock import Clock, ClockMissing
from tests.gate.lanes import COMPUTE
from tests.gate.run import Limits, Request, prepared_gate
from tests.gate.soak import keep
from tests.seeds import fixed_seed

#: Clocks in UTC as a run begins, which takes twelve minutes. Almaty is five hours ahead.
MOMENTS = {
    "2026-12-16 06:00:00": "Independence Day, on which nobody but the line works",
    "2026-12-31 18:59:00": "the year has ended in Almaty, and not in UTC",
    "2026-12-31 23:59:30": "the year has just ended in both",
    "2027-12-31 18:59:00": "a year has begun in Almaty of which no day is entered",
    "2028-02-29 06:00:00": "a leap day, in a year of which no day is entered",
}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--at",
    "moments",
    multiple=True,
    type=click.DateTime(["%Y-%m-%d %H:%M:%S"]),
    default=tuple(MOMENTS),
    help=f"The clock as a run begins, in UTC; without it {', '.join(MOMENTS)}.",
)
@click.argument("tests", nargs=-1)
def main(moments: tuple[datetime, ...], tests: tuple[str, ...]) -> None:
    """Run what computes, or TESTS, under each of these clocks, and note what failed.

    Rows are added to docs/testing/soak.md: what is found is a fault of main, mended in a commit of
    its own. Redis keeps the real time.
    """
    repository = Path.cwd()
    request = Request(seed=fixed_seed(repository), tests=tests)
    found = 0
    for moment in moments:
        began = f"{moment:%Y-%m-%d %H:%M:%S}"
        click.echo(f"== {began} UTC: {MOMENTS.get(began, 'by choice')}")
        with (
            clock_set_to(moment.replace(tzinfo=UTC)),
            prepared_gate(repository, request, Limits(), lanes=(COMPUTE,)) as gate,
        ):
            try:
                gate.run()
            finally:
                found += keep(gate.verdict, began)
    click.echo(f"{len(moments)} clocks, {found} found")
    sys.exit(1 if found else 0)


@contextmanager
def clock_set_to(moment: datetime) -> Iterator[None]:
    """Whatever this program starts within the block has this clock."""
    before = dict(os.environ)
    with TemporaryDirectory(prefix="clock-") as folder:
        try:
            clock = Clock(Path(folder))
        except ClockMissing as exc:
            raise click.ClickException(str(exc)) from exc
        clock.set(round((moment - datetime.now(UTC)).total_seconds()))
        os.environ.update(clock.environment)
        del os.environ["FAKETIME_NO_CACHE"]  # it is not set again
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


if __name__ == "__main__":
    main(prog_name="calendar")
