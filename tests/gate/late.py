"""`docs/testing/late.md`: which tests were late, how often, and which of them are in quarantine."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

FILE = "docs/testing/late.md"
RUNS = 10  # the last ones, of which those are counted in which a test was late
OFTEN = 3  # of them: then a test is mended before anything else, or quarantined
MOST = 5  # tests in quarantine
TERM = timedelta(days=14)  # of a quarantine

_HEADING = re.compile(r"## (?P<title>.+)")
_ROW = re.compile(r"\| (?P<first>\d{4}-\d{2}-\d{2}) \| (?P<rest>.+) \|")
_TEST = re.compile(r"`(?P<file>tests/[\w/]+\.py)`(?: `(?P<name>\w+)`)?")
_HOW_OFTEN = re.compile(r"(?P<late>\d+) of (?P<runs>\d+) runs?")


class LateFileError(Exception):
    """A row that cannot be read, or a test that does not exist."""


@dataclass(frozen=True)
class LateTest:
    test: str  # a file of tests, or file::name of one
    last: date
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

    def faults(self) -> Iterator[str]:
        """What must be mended before a commit may pass, whatever its tests say."""
        for each in self.late:
            if each.late >= OFTEN and self.quarantine_of(each.test) is None:
                often = f"{each.late} of {each.runs} runs"
                yield f"{each.test} was late in {often}: mend it first, or quarantine it"
        if len(self.quarantines) > MOST:
            yield f"{len(self.quarantines)} tests are in quarantine: at most {MOST} may be"
        for each in self.quarantines:
            for older in self.quarantines:
                if older.end < each.since:
                    yield f"{older.test} was to be mended by {older.end}, before {each.test}"


def read_late_file(repository: Path) -> LateFile:
    """Both tables; empty ones where the file is missing. Raises LateFileError."""
    file = repository / FILE
    if not file.exists():
        return LateFile()
    late: list[LateTest] = []
    quarantines: list[Quarantine] = []
    title = ""
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        if heading := _HEADING.fullmatch(line):
            title = heading["title"]
        if row := _ROW.fullmatch(line):
            cells = row["rest"].split(" | ")
            try:
                first = date.fromisoformat(row["first"])
                test = _test(repository, cells[0])
                if title == "Quarantine":
                    quarantines.append(_quarantine(test, first, cells))
                else:
                    late.append(_late_test(test, first, cells))
            except ValueError as exc:
                raise LateFileError(f"{FILE}:{number}: {exc}") from exc
    return LateFile(late, quarantines)


def _test(repository: Path, cell: str) -> str:
    """Raises ValueError."""
    named = _TEST.fullmatch(cell)
    if named is None:
        raise ValueError(f"{cell} names no test: `tests/FILE.py` `NAME`, or the file alone")
    file = repository / named["file"]
    if not file.exists() or (name := named["name"] or "") not in file.read_text("utf-8"):
        raise ValueError(f"there is no test {cell}: its row goes with it")
    return f"{named['file']}::{name}" if name else named["file"]


def _late_test(test: str, last: date, cells: Sequence[str]) -> LateTest:
    """Raises ValueError."""
    if len(cells) != 4 or not (often := _HOW_OFTEN.fullmatch(cells[2])):
        raise ValueError("date | test | message | N of M runs | who is to blame")
    found = LateTest(test, last, int(often["late"]), int(often["runs"]))
    if not 0 < found.late <= found.runs <= RUNS:
        raise ValueError(f"{cells[2]}: how often within the last {RUNS} runs")
    return found


def _quarantine(test: str, since: date, cells: Sequence[str]) -> Quarantine:
    """Raises ValueError."""
    if len(cells) != 2 or not cells[1].strip():
        raise ValueError("since | test | reason")
    return Quarantine(test, since, cells[1])
