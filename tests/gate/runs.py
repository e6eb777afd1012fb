"""`docs/testing/runs.md`: one line for each whole run of the gate, the latest last."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple

from tests.gate.tables import cells_of, node_cell, row_of

FILE = "docs/testing/runs.md"
RUNS = 10  # the last ones, in which it is counted how often a test was unsteady

_ROW = re.compile(r"\| *\d")
_MOMENT = "%Y-%m-%d %H:%M"  # in UTC
_CELLS = 5  # date, commit, minutes, unsteady tests, result
_TEST = re.compile(r"`(?P<file>tests/[\w/]+\.py)` `(?P<name>\w+)`")


class RunsFileError(Exception):
    """A row that cannot be read."""


class GateRun(NamedTuple):
    day: date  # on which it began, in UTC
    unsteady: frozenset[str]  # tests, as file::name


@dataclass(frozen=True)
class Runs:
    runs: Sequence[GateRun] = ()

    def count_unsteady(self, test: str, since: date) -> int:
        """In how many of the last runs a test was unsteady; of a file, any test of it."""
        last = [each for each in self.runs[-RUNS:] if each.day >= since]
        return sum(any(covers(test, each) for each in run.unsteady) for run in last)


def covers(named: str, test: str) -> bool:
    """Whether a test, by its node id, is the named one, or belongs to the named file.

    Classes in a node id do not count, as tables do not name them.
    """
    file, *names = test.split("[")[0].split("::")
    return named in (file, f"{file}::{names[-1]}" if names else file)


def read_runs(repository: Path) -> Runs:
    """No runs where the file is missing. Raises RunsFileError."""
    file = repository / FILE
    if not file.exists():
        return Runs()
    runs = []
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        if _ROW.match(line):
            cells = cells_of(line)
            if len(cells) != _CELLS:
                raise RunsFileError(f"{FILE}:{number}: a row has {_CELLS} cells")
            try:
                began = datetime.strptime(cells[0], _MOMENT).replace(tzinfo=UTC)
            except ValueError as exc:
                raise RunsFileError(f"{FILE}:{number}: {exc}") from exc
            unsteady = frozenset(f"{file}::{name}" for file, name in _TEST.findall(cells[3]))
            runs.append(GateRun(began.date(), unsteady))
    return Runs(runs)


def run_row(
    began: datetime,
    commit: str,
    minutes: float,
    minutes_by_lane: Mapping[str, float],
    unsteady: Iterable[str],
    result: str,
) -> str:
    """The row of a run; tests are named by their node ids."""
    lanes = ", ".join(f"{lane} {each:.0f}" for lane, each in minutes_by_lane.items())
    tests = ", ".join(sorted({node_cell(each) for each in unsteady})) or "none"
    at = began.astimezone(UTC).strftime(_MOMENT)
    return row_of((at, commit, f"{minutes:.0f} ({lanes})", tests, result))
