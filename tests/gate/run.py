"""A run of the gate: checks, lanes, what failed once more alone, and the verdict."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

import click

from tests.gate import leftovers
from tests.gate.changes import ChangedTests
from tests.gate.git import short_commit
from tests.gate.lanes import LANES, Lane
from tests.gate.results import MOST_FAILURES, Failure, FailureKind, LaneResult, ResultFolder
from tests.gate.runs import FILE as RUNS_FILE
from tests.gate.runs import RunsFileError, read_runs, run_row
from tests.gate.tables import node_cell
from tests.gate.times import PhaseTime, describe
from tests.gate.unsteady import FILE as UNSTEADY_FILE
from tests.gate.unsteady import UnsteadyFile, UnsteadyFileError, read_unsteady_file, unsteady_row
from tests.gate.verdict import AGAIN, LaneFailure, Verdict
from tests.seeds import fixed_seed

IDLE = ("chrt", "--idle", "0")  # what it starts runs when nothing else wants the processor
NOTHING_CHOSEN = 5  # pytest's exit status when no test was collected
TESTS_FAILED = 1  # pytest's, when tests ran and some failed


@dataclass(frozen=True)
class Limits:
    minutes: float = 75.0  # of the whole run; past them it stops itself, red
    unsteady_files: int = 12  # in which tests may be unsteady in a run
    repeated_files: int = 6  # of which one test runs again where there are more
    grace: float = 30.0  # seconds in which what a lane started must have ended


@dataclass(frozen=True)
class Request:
    seed: int | None = None  # None: that of tests/seed
    quick: bool = False  # a test of each capability, and what needs no server
    tests: Sequence[str] = ()  # files, folders or node ids; none: all
    options: Sequence[str] = ()  # for pytest
    times: bool = False  # whether those of the tests are measured; not when they run again

    @property
    def is_whole(self) -> bool:
        """Whether it asks for every test of every lane, with whatever seed."""
        return not (self.quick or self.tests or self.options)

    @property
    def is_gate(self) -> bool:
        """Whether it asks for what lets a commit in."""
        return self.is_whole and self.seed is None


class OutOfTimeError(Exception):
    """The minutes of the run are used up."""


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
        self._folder = folder
        self._request = request
        self._limits = limits
        self._lanes = lanes
        self._seed = fixed_seed(repository) if request.seed is None else request.seed
        self._began = datetime.now(UTC)
        self._deadline = time.monotonic() + 60 * limits.minutes
        self._minutes_by_lane: dict[str, float] = {}
        self._times: list[PhaseTime] = []
        self._runs: list[str] = []  # words by which processes are found
        self._processes: list[subprocess.Popen[bytes]] = []
        self._unsteady_file = UnsteadyFile()
        self._changed = ChangedTests(repository)
        self._noting = Lock()
        self.verdict = Verdict()

    def run(self) -> bool:
        """Whether the commit may pass. Prints as it goes, and the verdict at the end."""
        click.echo(f"seed {self._seed}")
        try:
            if self._read_unsteady_file() and (not self._request.is_gate or self._check()):
                self._run_lanes()
                self._judge()
        except OutOfTimeError:
            self.verdict.faults.append(f"the run took more than {self._limits.minutes:g} minutes")
            self.stop()
        for line in describe(self._times) if self._times else ():
            click.echo(line)
        if self._request.is_gate and self._minutes_by_lane:
            self._print_rows()
        for line in self.verdict.lines():
            click.echo(line)
        return self.verdict.is_green

    def stop(self) -> None:
        """End whatever the run started: first as pytest does when it is told to."""
        for process in self._processes:
            _end(process, self._limits.grace)
        for run in self._runs:
            leftovers.end(run, self._folder, grace=1)

    def _read_unsteady_file(self) -> bool:
        """Whether what it demands was done; says which quarantines there are."""
        today = datetime.now(UTC).date()
        try:
            self._unsteady_file = read_unsteady_file(self._repository)
            faults = list(self._unsteady_file.faults(today, read_runs(self._repository)))
        except (UnsteadyFileError, RunsFileError) as exc:
            faults = [str(exc)]
        oldest_first = sorted(self._unsteady_file.quarantines, key=lambda each: each.since)
        self.verdict.quarantines = [each.describe(today) for each in oldest_first]
        for each in self.verdict.quarantines:
            click.echo(f"quarantined: {each}")
        if self._request.is_gate:
            self.verdict.faults += faults
        return not self.verdict.faults

    def _check(self) -> bool:
        with self._timed("checks"):
            status = self._call([str(self._repository / "scripts" / "check")], os.environ)
        if status != 0:
            self.verdict.faults.append("scripts/check found faults, see above; no test was run")
        return status == 0

    def _run_lanes(self) -> None:
        """Run them one after the other, and those that are idle beside them.

        Of some tests alone each lane has its turn, and prints while it runs.
        """
        if not self._request.is_whole:
            for lane in self._lanes:
                self._run_lane(lane, is_idle=False)
            return
        with ThreadPoolExecutor(max_workers=len(self._lanes)) as threads:
            try:
                beside = [
                    threads.submit(self._run_lane, lane, is_idle=True)
                    for lane in self._lanes
                    if lane.is_idle
                ]
                for lane in self._lanes:
                    if not lane.is_idle:
                        self._run_lane(lane, is_idle=False)
                for each in beside:
                    each.result()
            except BaseException:
                self.stop()  # else the threads would wait for what they started
                raise

    def _run_lane(self, lane: Lane, *, is_idle: bool) -> None:
        """Run its tests and note what came of them, also when the time is used up."""
        chosen = (f"--lane={lane.name}", *(("--quick",) if self._request.quick else ()))
        side_by_side = (
            ("-n", str(lane.processes), "--dist", "worksteal") if lane.processes > 1 else ()
        )
        times = ("--times",) if self._request.times else ()
        most = f"--maxfail={MOST_FAILURES}"
        own = self._request.options
        options = (*side_by_side, "--durations", "10", most, *chosen, *times, *own)
        folder = self._new_folder(lane.name)
        began = time.monotonic()
        try:
            with self._timed(f"lane {lane.name}, {lane.processes} at a time"):
                arguments = (*options, *self._request.tests)
                self._run_pytest(lane.name, folder, arguments, is_idle=is_idle)
        finally:
            with self._noting:
                self._minutes_by_lane[lane.name] = (time.monotonic() - began) / 60
                self._note(lane, ResultFolder(folder).read())

    def _note(self, lane: Lane, result: LaneResult) -> None:
        self._times += result.times
        self.verdict.passed += len(result.passed)
        self.verdict.skipped += len(result.skipped)
        self.verdict.left_out += result.left_out
        for failure in (LaneFailure(lane, each) for each in result.failures.values()):
            is_limit = failure.failure.kind == FailureKind.LIMIT
            if is_limit and self._unsteady_file.quarantine_of(failure.failure.test):
                self.verdict.quarantined.append(failure)
            else:
                self.verdict.failures.append(failure)
        if result.is_cut:
            self.verdict.cut.append(f"{lane.name}: {MOST_FAILURES} failed, the rest did not run")
        if self._request.is_whole and not result.chosen:
            self.verdict.faults.append(f"lane {lane.name} has no test")

    def _judge(self) -> None:
        """What failed runs again alone, unless the run is red whatever comes of it."""
        verdict, failures = self.verdict, self.verdict.failures
        if verdict.ran + verdict.skipped == 0:
            verdict.faults.append("no test was chosen: see what was asked for")
        if not failures or verdict.faults:
            return
        if faults := list(self._red_at_once(each.failure for each in failures)):
            verdict.faults += faults
            return
        repeated, first_of_files = failures, dict[str, LaneFailure]()
        for each in failures:
            first_of_files.setdefault(each.failure.file, each)
        most = self._limits.unsteady_files
        if len(first_of_files) > most:
            files = f"{len(first_of_files)} files"
            verdict.faults.append(f"tests of {files} failed; at most {most} could be unsteady")
            repeated = list(first_of_files.values())[: self._limits.repeated_files]
        failed = self._repeat([each.failure.test for each in repeated])
        verdict.unsteady = [each for each in repeated if each.failure.test not in failed]
        verdict.wrong = [
            replace(each, alone=failed.get(each.failure.test))
            for each in failures
            if each not in verdict.unsteady
        ]
        verdict.failures = []

    def _red_at_once(self, failures: Iterable[Failure]) -> Iterator[str]:
        """Why nothing runs again: it would say nothing, or a test of this change is wrong."""
        for each in failures:
            if each.kind == FailureKind.FINAL:
                yield f"red at once, its process died: {each.test}"
            elif self._request.is_gate and each.is_value_of_test and self._changed.has(each.test):
                yield f"red at once, a value in a test of this change: {each.test}"

    def _repeat(self, tests: Sequence[str]) -> Mapping[str, str]:
        """Those that do not pass AGAIN times, alone and with the same seed, and why."""
        failed: dict[str, str] = {}
        for number in range(1, AGAIN + 1):
            if left := [test for test in tests if test not in failed]:
                name = f"again-{number}"
                folder = self._new_folder(name)
                with self._timed(f"what failed, alone, {number} of {AGAIN}"):
                    arguments = (*self._request.options, "-n", "0", *left)
                    self._run_pytest(name, folder, arguments, is_idle=False)
                result = ResultFolder(folder).read()
                for test in set(left) - result.passed:
                    failure = result.failures.get(test)
                    failed[test] = failure.message if failure else "it did not end"
        return failed

    def _print_rows(self) -> None:
        """Those of this run for the tables of tests, ready to be taken."""
        unsteady = [*self.verdict.unsteady, *self.verdict.quarantined]
        new = {
            node_cell(each.failure.test): each
            for each in unsteady
            if not self._unsteady_file.has_row_of(each.failure.test)
        }
        if new:
            click.echo(f"-- for {UNSTEADY_FILE}")
        for each in new.values():
            message = f"{each.failure.message} ({each.circumstances})"
            click.echo(unsteady_row(self._began.date(), each.failure.test, message))
        click.echo(f"-- for {RUNS_FILE}")
        row = run_row(
            self._began,
            short_commit(self._repository),
            (datetime.now(UTC) - self._began).total_seconds() / 60,
            self._minutes_by_lane,
            [each.failure.test for each in unsteady],
            "green" if self.verdict.is_green else "red",
        )
        click.echo(row)

    def _new_folder(self, name: str) -> Path:
        """A folder of its own for one pytest. Its path is short: p of phones, 1 of again-1."""
        (folder := self._folder / (name[-1] if name[-1].isdigit() else name[0])).mkdir()
        return folder

    def _run_pytest(
        self, name: str, folder: Path, arguments: Sequence[str], *, is_idle: bool
    ) -> None:
        """Run it and note what no test stands for. Raises OutOfTimeError.

        What it prints while it is idle comes at its end: others print meanwhile.
        """
        run = f"{os.getpid()}-{name}"
        self._runs.append(run)
        environment = os.environ | {"TMPDIR": str(folder), leftovers.VARIABLE: run}
        environment.pop("PYTEST_ADDOPTS", None)  # what is left out is asked for openly
        command = [
            *(IDLE if is_idle else ()),
            *(sys.executable, "-m", "pytest", "-o", f"cache_dir={folder / 'c'}"),
            # With `=`: else pytest takes the folder for one of tests.
            *(f"--basetemp={folder / 't'}", f"--results={folder}"),
            *(f"--seed={self._seed}", *arguments),
        ]
        printed = folder / "printed"
        try:
            status = self._call(command, environment, output=printed if is_idle else None)
        finally:
            if printed.exists():
                click.echo(printed.read_bytes())
        faults = list(faults_of_pytest(status, ResultFolder(folder).read()))
        for process, left in leftovers.end(run, folder, self._limits.grace).items():
            faults.append(f"left a process running: {process} {left}")
        self.verdict.faults += [f"{name}: {fault}" for fault in faults]

    def _call(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        output: Path | None = None,
    ) -> int:
        """The exit status of a command, which prints into `output` where that is given.

        Raises OutOfTimeError after it was told to end.
        """
        with (
            output.open("wb") if output else nullcontext() as file,
            subprocess.Popen(
                command, cwd=self._repository, env=environment, stdout=file, stderr=file
            ) as process,
        ):
            self._processes.append(process)
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


@contextmanager
def prepared_gate(
    repository: Path, request: Request, limits: Limits, lanes: Sequence[Lane] = LANES
) -> Iterator[Gate]:
    """A gate with a folder of its own, which is stopped, as this program is, when it is told to.

    The folder's path is short for the sake of sockets; nothing in it outlives the run.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with TemporaryDirectory(prefix="g", dir="/tmp", ignore_cleanup_errors=True) as folder:
        gate = Gate(repository, Path(folder), request, limits, lanes)
        try:
            yield gate
        except KeyboardInterrupt:
            gate.stop()
            sys.exit(130)


def faults_of_pytest(status: int, result: LaneResult) -> Iterator[str]:
    """What went wrong that no test stands for."""
    yield from result.faults
    is_reported = status == TESTS_FAILED and result.failures
    if status not in (0, NOTHING_CHOSEN) and not is_reported:
        yield f"pytest ended with {status}, see above"
    if result.missing and not result.is_cut:
        yield f"{len(result.missing)} chosen tests did not end, as {min(result.missing)}"


def _end(process: subprocess.Popen[bytes], grace: float) -> None:
    """Tell it to end what it has started, and kill it if it does not."""
    process.terminate()
    try:
        process.wait(grace)
    except subprocess.TimeoutExpired:
        process.kill()
