"""`make hunt`: repeats tests on a busy machine, each time with another seed, to find races."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from tests.gate import leftovers
from tests.gate.results import ResultFolder
from tests.gate.run import Limits, faults_of_pytest
from tests.seeds import fresh_seed

LOOPS = 2  # processes that compute for ever beside the tests
# It ends with whoever started it, however that ends.
LOOP = "import os; parent = os.getppid()\nwhile os.getppid() == parent: pass"
LOGS = Path("var/tests/hunt")  # what pytest printed in a run that failed, by its seed


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--times", default=5, show_default=True, type=click.IntRange(min=1))
@click.argument("tests", nargs=-1, required=True)
def main(times: int, tests: tuple[str, ...]) -> None:
    """Run TESTS so many times beside two busy loops, and say which failed with which seed.

    `python -m pytest TEST --seed SEED` draws the same again.
    """
    failed = 0
    LOGS.mkdir(parents=True, exist_ok=True)
    with busy_loops():
        for number in range(1, times + 1):
            seed = fresh_seed()
            faults = run_once(tests, seed)
            failed += bool(faults)
            said = "\n  ".join(("failed", *faults)) if faults else "passed"
            click.echo(f"{number} of {times}, seed {seed}: {said}")
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
    """What went wrong, in words; nothing if all passed. The log stays if something did."""
    log, run = LOGS / f"{seed}.log", f"hunt-{seed}"
    # Short, for sockets.
    with tempfile.TemporaryDirectory(prefix="h", dir="/tmp", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (found := folder / "results").mkdir()
        command = [
            *(sys.executable, "-m", "pytest", f"--basetemp={folder / 't'}", f"--seed={seed}"),
            *(f"--results={found}", "-p", "no:cacheprovider", *tests),
        ]
        environment = os.environ | {"TMPDIR": name, leftovers.VARIABLE: run}
        environment.pop("PYTEST_ADDOPTS", None)
        with log.open("wb") as file:
            status = subprocess.call(
                command, stdout=file, stderr=subprocess.STDOUT, env=environment
            )
        result = ResultFolder(found).read()
        faults = [
            f"{each.test} (load {each.load:.1f}): {each.message}"
            for each in result.failures.values()
        ]
        faults += faults_of_pytest(status, result)
        left = leftovers.end(run, folder, Limits.grace)
    faults += [f"left a process running: {process} {name}" for process, name in left.items()]
    if not (faults or result.passed):
        faults.append("no test ran")
    if not faults:
        log.unlink()
    return faults


if __name__ == "__main__":
    main(prog_name="hunt")
