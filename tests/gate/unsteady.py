"""`docs/testing/late.md`: which tests were unsteady, and which of them are in quarantine."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TypeVar

from tests.gate.runs import RUNS, Runs, covers
from tests.gate.tables import cells_of, node_cell, row_of, text_cell

FILE = "docs/testing/late.md"
OFTEN = 2  # of the last runs: then a test is mended before anything else, or quarantined
MOST = 5  # tests in quarantine
TERM = timedelta(days=14)  # of a quarantine

_HEADING = re.compile(r"## (?P<title>.+)")
_NO_ROW = ("| date |", "| since |", "| --- |")  # that begin so
_TEST = re.compile(r"`(?P<file>tests/[\w/]+\.py)`(?: `(?P<name>\w+)`)?")


_T = TypeVar("_T", "UnsteadyTest", "Quarantine")


class UnsteadyFileError(Exception):
    """A row that cannot be read, or a test that does not exist."""


@dataclass(frozen=True)
class UnsteadyTest:
    test: str  # a file of tests, or file::name of one
    since: date  # of its first run since it was mended, if it ever was


@dataclass(frozen=True)
class Quarantine:
    test: str
    since: date
    reason: str

    @property
    def end(self) -> date:
        return self.since + TERM

    def describe(self, today: date) -> str:
        left = (self.end - today).days
        if left < 0:
            return f"{self.test} (over for {-left} days: mend it first)"
        return f"{self.test} ({left} days left)"


@dataclass(frozen=True)
class UnsteadyFile:
    tests: Sequence[UnsteadyTest] = ()
    quarantines: Sequence[Quarantine] = ()

    def has_row_of(self, test: str) -> bool:
        """Whether this test, by its node id, is known as unsteady already."""
        return any(covers(each.test, test) for each in self.tests)

    def quarantine_of(self, test: str) -> Quarantine | None:
        return next((each for each in self.quarantines if covers(each.test, test)), None)

    def faults(self, today: date, runs: Runs) -> Iterator[str]:
        """What must be mended before a commit may pass, whatever its tests say."""
        for each in self.tests:
            count = runs.count_unsteady(each.test, each.since)
            if count >= OFTEN and self.quarantine_of(each.test) is None:
                often = f"{count} of the last {RUNS} runs"
                yield f"{each.test} was unsteady in {often}: mend it first, or quarantine it"
        if len(self.quarantines) > MOST:
            yield f"{len(self.quarantines)} tests are in quarantine: at most {MOST} may be"
        for quarantine in self.quarantines:
            if quarantine.since > today:
                since = f"{quarantine.since}, which is to come"
                yield f"{quarantine.test} is in quarantine since {since}"
            for older in self.quarantines:
                if older.end < quarantine.since:
                    yield f"{older.test} was to be mended by {older.end}, before {quarantine.test}"


def read_unsteady_file(repository: Path) -> UnsteadyFile:
    """Both tables; empty ones where the file is missing. Raises UnsteadyFileError."""
    file = repository / FILE
    if not file.exists():
        return UnsteadyFile()
    tests: dict[str, UnsteadyTest] = {}
    quarantines: dict[str, Quarantine] = {}
    title = ""
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        if heading := _HEADING.fullmatch(line):
            title = heading["title"]
        if not line.startswith("|") or line.startswith(_NO_ROW):
            continue
        try:
            if title == "Quarantine":
                _add(_read_quarantine(repository, line), quarantines)
            else:
                _add(_read_unsteady_test(repository, line), tests)
        except ValueError as exc:
            raise UnsteadyFileError(f"{FILE}:{number}: {exc}") from exc
    return UnsteadyFile(tuple(tests.values()), tuple(quarantines.values()))


def unsteady_row(day: date, test: str, message: str) -> str:
    """The row of a test, which is named by its node id, that was unsteady for the first time."""
    return row_of((str(day), node_cell(test), text_cell(message), "not looked at yet"))


def _add(found: _T, others: dict[str, _T]) -> None:
    """Raises ValueError: a test has one row."""
    if found.test in others:
        raise ValueError(f"{found.test} has a row already: change that one")
    others[found.test] = found


def _cells(line: str, names: str) -> list[str]:
    """Raises ValueError."""
    cells = cells_of(line)
    if len(cells) != len(names.split(" | ")) or not all(cells):
        raise ValueError(f"a row is {names}")
    return cells


def _read_unsteady_test(repository: Path, line: str) -> UnsteadyTest:
    """Raises ValueError."""
    day, test, _, _ = _cells(line, "date | test | message | cause")
    return UnsteadyTest(_test(repository, test), date.fromisoformat(day))


def _read_quarantine(repository: Path, line: str) -> Quarantine:
    """Raises ValueError."""
    since, test, reason = _cells(line, "since | test | reason")
    return Quarantine(_test(repository, test), date.fromisoformat(since), reason)


def _test(repository: Path, cell: str) -> str:
    """Raises ValueError."""
    named = _TEST.fullmatch(cell)
    if named is None:
        raise ValueError(f"{cell} names no test: `tests/FILE.py` `NAME`, or the file alone")
    file, name = repository / named["file"], named["name"]
    source = file.read_text("utf-8") if file.exists() else None
    if source is None or (name and not re.search(rf"def {name}\(", source)):
        raise ValueError(f"there is no test {cell}: its row goes with it")
    return f"{named['file']}::{name}" if name else named["file"]
