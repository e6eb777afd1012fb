"""`make hunt`: repeats tests on a busy machine, each time with another seed, to find races."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from tests.gate.results import Failure, ResultFolder
from tests.seeds import fresh_seed

LOOPS = 2  # processes that compute for ever beside the tests
# It ends with whoever started it, however that ends.
LOOP = "import os; parent = os.getppid()\nwhile os.getppid() == parent: pass"
LOGS = Path("var/tests/hunt")  # what pytest printed of a run that failed, by its seed


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--times", default=5, show_default=True, type=click.IntRange(min=1))
@click.argument("tests", nargs=-1, required=True)
def main(times: int, tests: tuple[str, ...]) -> None:
    """Run TESTS so many times beside two busy loops, and say which failed with which seed.

    `python -m pytest TEST --seed SEED` draws the same again.
    """
    failed = 0
    with busy_loops():
        for number in range(1, times + 1):
            seed = fresh_seed()
            failures = run_once(tests, seed)
            failed += bool(failures)
            click.echo(f"{number} of {times}, seed {seed}: {_said(failures)}")
    click.echo(f"{times} runs, {failed} failed" + (f": see {LOGS}" if failed else ""))
    sys.exit(1 if failed else 0)


@contextmanager
def busy_loops() -> Iterator[None]:
    """Within the block so many processes take what they get of the processor."""
    loops = [subprocess.Popen([sys.executable, "-c", LOOP]) for _ in range(LOOPS)]
    try:
        yield
    finally:
        for each in loops:
            each.kill()
            each.wait()


def run_once(tests: Sequence[str], seed: int) -> list[str]:
    """What failed, in words; none if all passed."""
    with tempfile.TemporaryDirectory(prefix="h", dir="/tmp") as name:  # short, for sockets
        folder = Path(name)
        (found := folder / "results").mkdir()
        command = [
            *(sys.executable, "-m", "pytest", f"--basetemp={folder / 't'}", f"--seed={seed}"),
            *(f"--results={found}", "-p", "no:cacheprovider", *tests),
        ]
        run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        result = ResultFolder(found).read()
    failures = [_in_words(each) for each in result.failures.values()] + result.faults
    if run.returncode != 0 and not failures:
        failures.append(f"pytest ended with {run.returncode}")
    if failures:
        LOGS.mkdir(parents=True, exist_ok=True)
        (LOGS / f"{seed}.log").write_bytes(run.stdout)
    return failures


def _in_words(failure: Failure) -> str:
    return f"{failure.test} (load {failure.load:.1f}): {failure.message}"


def _said(failures: Sequence[str]) -> str:
    return "passed" if not failures else "\n  ".join(("failed", *failures))


if __name__ == "__main__":
    main(prog_name="hunt")
