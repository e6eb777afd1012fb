"""A run of the gate: checks, lanes, what failed once more alone, and the verdict."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click

from tests.gate import leftovers
from tests.gate.lanes import LANES, Lane
from tests.gate.results import Failure, LaneResult, ResultFolder
from tests.seeds import tree_seed

NOTHING_CHOSEN = 5  # pytest's exit status when no test was collected
TESTS_FAILED = 1  # pytest's, when tests ran and some failed
AGAIN = 3  # times that what failed must pass alone to count as late


@dataclass(frozen=True)
class Limits:
    minutes: float  # of the whole run; past them it stops itself, red
    late: int = 12  # tests that may be late in a run
    grace: float = 30.0  # seconds in which what a lane started must have ended


@dataclass(frozen=True)
class Request:
    choose: str  # one of plugin.CHOICES
    seed: int | None  # None: the commit's
    tests: Sequence[str] = ()  # files, folders or node ids; none: all
    options: Sequence[str] = ()  # for pytest
    checks: bool = True


class OutOfTimeError(Exception):
    """The minutes of the run are used up."""


@dataclass(frozen=True)
class LaneFailure:
    lane: Lane
    failure: Failure

    def __str__(self) -> str:
        of = self.failure
        return f"{of.test} (lane {self.lane.name}, load {of.load:.1f}): {of.message}"


@dataclass
class Verdict:
    """What a run says of the commit."""

    passed: int = 0
    skipped: int = 0
    left_out: int = 0  # slow tests
    wrong: list[LaneFailure] = field(default_factory=list)
    late: list[LaneFailure] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)  # of the run, which no test stands for

    @property
    def is_green(self) -> bool:
        return not self.wrong and not self.faults

    def lines(self) -> Iterator[str]:
        ran = self.passed + len(self.wrong) + len(self.late)
        yield f"{ran} ran, {self.left_out} slow did not (--all runs them)"
        for each in self.late:
            yield f"late, passed {AGAIN} of {AGAIN} alone: {each}"
        for each in self.wrong:
            yield f"wrong: {each}"
        for fault in self.faults:
            yield f"wrong: {fault}"
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        yield f"{self.passed + len(self.late)} passed, {len(self.wrong)} failed{skipped}"


class Gate:
    """One run. Its servers and folders are below `folder`, whose path must be short."""

    def __init__(
        self,
        repository: Path,
        folder: Path,
        request: Request,
        limits: Limits,
        lanes: Sequence[Lane] = LANES,
    ) -> None:
        self._repository = repository
        self._lanes = lanes
        self._folder = folder
        self._request = request
        self._limits = limits
        self._seed = tree_seed(repository) if request.seed is None else request.seed
        self._deadline = time.monotonic() + 60 * limits.minutes
        self._runs: list[str] = []  # words by which processes are found
        self.verdict = Verdict()

    def run(self) -> bool:
        """Whether the commit may pass. Prints as it goes, and the verdict at the end."""
        click.echo(f"seed {self._seed}")
        try:
            if not self._request.checks or self._check():
                self._run_lanes()
        except OutOfTimeError:
            self.verdict.faults.append(f"the run took more than {self._limits.minutes:g} minutes")
            self.stop()
        for line in self.verdict.lines():
            click.echo(line)
        return self.verdict.is_green

    def stop(self) -> None:
        """End whatever the run started."""
        for run in self._runs:
            leftovers.end(run, grace=1)

    def _check(self) -> bool:
        with self._timed("checks"):
            status = self._call([str(self._repository / "scripts" / "check")], os.environ)
        if status != 0:
            self.verdict.faults.append("scripts/check found faults, see above; no test was run")
        return status == 0

    def _run_lanes(self) -> None:
        failures: list[LaneFailure] = []
        for lane in self._lanes:
            result = self._run_lane(lane)
            self.verdict.passed += len(result.passed)
            self.verdict.skipped += len(result.skipped)
            failures += [LaneFailure(lane, each) for each in result.failures.values()]
        if self.verdict.passed + self.verdict.skipped + len(failures) == 0:
            self.verdict.faults.append("no test was chosen: see what was asked for")
        self._judge(failures)

    def _run_lane(self, lane: Lane) -> LaneResult:
        chosen = (f"--lane={lane.name}", f"--choose={self._request.choose}")
        side_by_side = (
            ("-n", str(lane.processes), "--dist", "worksteal") if lane.processes > 1 else ()
        )
        options = (*side_by_side, "--durations", "10", *chosen, *self._request.options)
        with self._timed(f"lane {lane.name}, {lane.processes} at a time"):
            folder = self._run_pytest(lane.name, (*options, *self._request.tests))
        self.verdict.left_out += folder.left_out()
        return folder.read()

    def _judge(self, failures: Sequence[LaneFailure]) -> None:
        """What failed in a lane whose tests may be late runs again alone, if that can help."""
        may_be_late = [each for each in failures if each.lane.may_be_late]
        if len(may_be_late) < len(failures) or self.verdict.faults:
            self.verdict.wrong += failures
        elif len(failures) > self._limits.late:
            self.verdict.wrong += failures
            self.verdict.faults.append(
                f"{len(failures)} failed, of which at most {self._limits.late} could be late"
            )
        elif failures:
            failed = self._repeat([each.failure.test for each in failures])
            self.verdict.wrong += [each for each in failures if each.failure.test in failed]
            self.verdict.late += [each for each in failures if each.failure.test not in failed]

    def _repeat(self, tests: Sequence[str]) -> set[str]:
        """Those of these tests that do not pass AGAIN times, alone and with the same seed."""
        failed: set[str] = set()
        for time_ in range(1, AGAIN + 1):
            if left := [test for test in tests if test not in failed]:
                with self._timed(f"what failed, alone, {time_} of {AGAIN}"):
                    result = self._run_pytest(f"again-{time_}", left).read()
                failed |= set(left) - result.passed
        return failed

    def _run_pytest(self, name: str, arguments: Sequence[str]) -> ResultFolder:
        """Runs it and notes what no test stands for. Raises OutOfTimeError."""
        results = self._folder / name
        results.mkdir()
        run = f"{os.getpid()}-{name}"
        self._runs.append(run)
        environment = os.environ | {"TMPDIR": str(self._folder), leftovers.VARIABLE: run}
        status = self._call(
            [
                sys.executable,
                "-m",
                "pytest",
                "-o",
                f"cache_dir={self._folder / 'c'}",
                f"--basetemp={self._folder / 't'}",
                f"--seed={self._seed}",
                f"--results={results}",  # with `=`: else it is taken for a folder of tests
                *arguments,
            ],
            environment,
        )
        found = ResultFolder(results)
        told = status == TESTS_FAILED and found.read().failures
        if status not in (0, NOTHING_CHOSEN) and not told:
            self.verdict.faults.append(f"pytest ended with {status} in {name}, see above")
        for process, command in leftovers.end(run, self._limits.grace).items():
            self.verdict.faults.append(f"{name} left a process running: {process} {command}")
        return found

    def _call(self, command: Sequence[str], environment: Mapping[str, str]) -> int:
        """The exit status of a command. Raises OutOfTimeError after it was told to end."""
        with subprocess.Popen(command, cwd=self._repository, env=environment) as process:
            try:
                return process.wait(self._deadline - time.monotonic())
            except BaseException as exc:
                _end(process, self._limits.grace)
                if isinstance(exc, subprocess.TimeoutExpired):
                    raise OutOfTimeError from None
                raise

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        click.echo(f"-- {what}")
        began = time.monotonic()
        yield
        click.echo(f"-- {what}: {time.monotonic() - began:.0f} s")


def _end(process: subprocess.Popen[bytes], grace: float) -> None:
    """Tell it to end what it has started, and kill it if it does not."""
    process.terminate()
    try:
        process.wait(grace)
    except subprocess.TimeoutExpired:
        process.kill()
