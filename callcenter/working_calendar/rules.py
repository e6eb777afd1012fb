"""Reads a year of the working calendar from typed lines, and writes it so again.

A line is `DATE; KIND; Kazakh; Russian`; a weekend that is worked is `DATE; worked`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.working_calendar import SATURDAY, DayKind

WORKED = "worked"
FIRST_YEAR, LAST_YEAR = 2024, 2100
LONGEST_NAME = 100


class LineFault(StrEnum):
    """The reason that a line is refused."""

    PARTS = "parts"  #: it is not DATE; KIND; Kazakh; Russian, or DATE; worked
    DATE = "date"  #: it is no date, or of another year
    KIND = "kind"
    TWICE = "twice"  #: the day is there already
    WEEKDAY = "weekday"  #: only a Saturday or Sunday can be worked instead


class WrongLine(InvalidRequest):
    """A line of the year cannot be read."""

    def __init__(self, number: int, fault: LineFault) -> None:
        super().__init__(f"line {number} of the year cannot be read: {fault.value}")
        self.number = number
        self.fault = fault


@dataclass(frozen=True, slots=True)
class DayOff:
    """A day off that no weekend explains, with its names."""

    day: date
    kind: DayKind
    kk: str
    ru: str


@dataclass(frozen=True, slots=True)
class CalendarYear:
    """A year: days off in order, and weekends that are worked."""

    year: int
    off: tuple[DayOff, ...]
    worked: tuple[date, ...]

    @classmethod
    def of_json(cls, year: int, content: Mapping[str, Any]) -> "CalendarYear":
        """A year as it is stored, and as `working_calendar.json` has it."""
        off = (
            DayOff(date.fromisoformat(d["date"]), DayKind(d["kind"]), d["kk"], d["ru"])
            for d in content["off"]
        )
        worked = (date.fromisoformat(each) for each in content["worked"])
        return cls(year, tuple(sorted(off, key=lambda each: each.day)), tuple(sorted(worked)))

    def to_json(self) -> dict[str, Any]:
        """The year as it is stored."""
        return {
            "off": [
                {"date": d.day.isoformat(), "kind": d.kind.value, "kk": d.kk, "ru": d.ru}
                for d in self.off
            ],
            "worked": [each.isoformat() for each in self.worked],
        }

    def to_text(self) -> str:
        """The year in lines, by day, as `read_year` reads them."""
        lines = {d.day: f"{d.day}; {d.kind.value}; {d.kk}; {d.ru}" for d in self.off}
        lines |= {each: f"{each}; {WORKED}" for each in self.worked}
        return "\n".join(lines[day] for day in sorted(lines))

    def is_working(self, day: date) -> bool:
        """Whether a day of this year is a working day."""
        if day in self.worked:
            return True
        return day.weekday() < SATURDAY and all(day != each.day for each in self.off)


def read_year(year: int, text: str) -> CalendarYear:
    """Parse the lines of a year; empty ones are skipped.

    Raises WrongLine, which says which line and why; InvalidRequest for a year out of bounds.
    """
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise InvalidRequest(f"a year is {FIRST_YEAR} to {LAST_YEAR}")
    off: dict[date, DayOff] = {}
    worked: set[date] = set()
    for number, parts in _lines(text):
        day = _day(year, number, parts[0])
        if day in off or day in worked:
            raise WrongLine(number, LineFault.TWICE)
        if parts[1:] == [WORKED]:
            if day.weekday() < SATURDAY:
                raise WrongLine(number, LineFault.WEEKDAY)
            worked.add(day)
            continue
        if len(parts) != 4 or not all(1 <= len(each) <= LONGEST_NAME for each in parts[2:]):
            raise WrongLine(number, LineFault.PARTS)
        if parts[1] not in {each.value for each in DayKind}:
            raise WrongLine(number, LineFault.KIND)
        off[day] = DayOff(day, DayKind(parts[1]), parts[2], parts[3])
    return CalendarYear(year, tuple(off[day] for day in sorted(off)), tuple(sorted(worked)))


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """The lines that are not empty: their numbers and parts."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, [part.strip() for part in line.replace("\t", ";").split(";")]


def _day(year: int, number: int, written: str) -> date:
    try:
        day = date.fromisoformat(written)
    except ValueError as exc:
        raise WrongLine(number, LineFault.DATE) from exc
    if day.year != year:
        raise WrongLine(number, LineFault.DATE)
    return day
