"""`docs/testing/late.md`: which tests were late, how often, and which of them are in quarantine."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TypeVar

FILE = "docs/testing/late.md"
RUNS = 10  # the last ones, of which those are counted in which a test was late
OFTEN = 3  # of them: then a test is mended before anything else, or quarantined
MOST = 5  # tests in quarantine
TERM = timedelta(days=14)  # of a quarantine

_HEADING = re.compile(r"## (?P<title>.+)")
_NO_ROW = ("| date |", "| since |", "| --- |")  # that begin so
_TEST = re.compile(r"`(?P<file>tests/[\w/]+\.py)`(?: `(?P<name>\w+)`)?")
_HOW_OFTEN = re.compile(r"(?P<late>\d+) of (?P<runs>\d+) runs?")


_T = TypeVar("_T", "LateTest", "Quarantine")


class LateFileError(Exception):
    """A row that cannot be read, or a test that does not exist."""


@dataclass(frozen=True)
class LateTest:
    test: str  # a file of tests, or file::name of one
    late: int  # runs in which it was late,
    runs: int  # of so many


@dataclass(frozen=True)
class Quarantine:
    test: str
    since: date
    reason: str

    @property
    def end(self) -> date:
        return self.since + TERM

    def covers(self, test: str) -> bool:
        """Whether a test, by its node id, is in it."""
        return re.match(rf"{re.escape(self.test)}(::|\[|$)", test) is not None

    def describe(self, today: date) -> str:
        left = (self.end - today).days
        if left < 0:
            return f"{self.test} (over for {-left} days: mend it first)"
        return f"{self.test} ({left} days left)"


@dataclass(frozen=True)
class LateFile:
    late: Sequence[LateTest] = ()
    quarantines: Sequence[Quarantine] = ()

    def quarantine_of(self, test: str) -> Quarantine | None:
        return next((each for each in self.quarantines if each.covers(test)), None)

    def faults(self, today: date) -> Iterator[str]:
        """What must be mended before a commit may pass, whatever its tests say."""
        for late in self.late:
            if late.late >= OFTEN and self.quarantine_of(late.test) is None:
                often = f"{late.late} of {late.runs} runs"
                yield f"{late.test} was late in {often}: mend it first, or quarantine it"
        if len(self.quarantines) > MOST:
            yield f"{len(self.quarantines)} tests are in quarantine: at most {MOST} may be"
        for each in self.quarantines:
            if each.since > today:
                yield f"{each.test} is in quarantine since {each.since}, which is to come"
            for older in self.quarantines:
                if older.end < each.since:
                    yield f"{older.test} was to be mended by {older.end}, before {each.test}"


def read_late_file(repository: Path) -> LateFile:
    """Both tables; empty ones where the file is missing. Raises LateFileError."""
    file = repository / FILE
    if not file.exists():
        return LateFile()
    late: dict[str, LateTest] = {}
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
                _add(_read_late_test(repository, line), late)
        except ValueError as exc:
            raise LateFileError(f"{FILE}:{number}: {exc}") from exc
    return LateFile(tuple(late.values()), tuple(quarantines.values()))


def _add(found: _T, others: dict[str, _T]) -> None:
    """Raises ValueError: how often a test was late stands in one row."""
    if found.test in others:
        raise ValueError(f"{found.test} has a row already: change that one")
    others[found.test] = found


def _cells(line: str, names: str) -> list[str]:
    """Raises ValueError."""
    cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
    if len(cells) != len(names.split(" | ")) or not all(cells):
        raise ValueError(f"a row is {names}")
    return cells


def _read_late_test(repository: Path, line: str) -> LateTest:
    """Raises ValueError."""
    day, test, _, how_often, _ = _cells(
        line, "date | test | message | N of M runs | who is to blame"
    )
    date.fromisoformat(day)
    often = _HOW_OFTEN.fullmatch(how_often)
    if often is None:
        raise ValueError(f"{how_often}: N of M runs")
    found = LateTest(_test(repository, test), int(often["late"]), int(often["runs"]))
    if not 0 < found.late <= found.runs <= RUNS:
        raise ValueError(f"{how_often}: how often within the last {RUNS} runs")
    return found


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
