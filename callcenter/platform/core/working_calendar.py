"""The state's working calendar: working days and hours of legal terms.

Saturdays and Sundays are off, but for those that a decision made working days; so are the days of
`working_calendar.json`, and of the years that the center entered or corrected
(`callcenter.working_calendar`): docs/decisions/0020.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.timezone import ZONE

DAY = timedelta(days=1)
SATURDAY = 5  # as `date.weekday` counts


#: Days before the calendar ends from which on somebody is told: the longest terms, of two months
#: (APPC, 76(3)) and of 60 working days (a demand), reach over its end then.
WARN_BEFORE = timedelta(days=120)


class YearNotEntered(InvalidRequest):
    """The working calendar of this year is not entered: no term can be counted in it."""

    def __init__(self, year: int) -> None:
        super().__init__(
            f"the working calendar of {year} is not entered, so no term can be counted: the "
            "administrator enters it on the page /calendar"
        )
        self.year = year


class DayKind(StrEnum):
    """The reason for which a day of `working_calendar.json` is off; all count alike."""

    HOLIDAY = "holiday"  #: a holiday of the state, on whatever day it falls
    OBSERVED = "observed"  #: instead of a holiday at a weekend (Labour Code, 84)
    SWAP = "swap"  #: by a decision, instead of a Saturday or Sunday that is worked (85(3))
    ESTIMATED = "estimated"  #: Kurban Ait before its day is announced; may move by a day


class WorkingHours(Protocol):
    """Working hours that days of a calendar have."""

    def spans_on(self, day: date, calendar: "Calendar") -> Iterable[tuple[datetime, datetime]]:
        """The working spans of a day in UTC, in order; none when nobody works.

        Raises YearNotEntered.
        """


@dataclass(frozen=True)
class Hours:
    """Working hours that each working day has: times in Asia/Almaty, in order and apart.

    Raises ValueError when they are not, or there are none.
    """

    spans: tuple[tuple[time, time], ...]

    def __post_init__(self) -> None:
        edges = [edge for span in self.spans for edge in span]
        if not edges or any(one >= other for one, other in pairwise(edges)):
            raise ValueError("working hours must be in order and apart")

    def spans_on(self, day: date, calendar: "Calendar") -> list[tuple[datetime, datetime]]:
        """The spans of a working day; as `WorkingHours` has it."""
        spans = self.spans if calendar.is_working(day) else ()
        return [(_moment(day, first), _moment(day, last)) for first, last in spans]


#: What most state bodies have; many have others, so hours are asked for everywhere.
OFFICE_HOURS = Hours(((time(9), time(13)), (time(14, 30), time(18, 30))))


class Calendar:
    """Days without a year that is entered raise YearNotEntered; moments must have a time zone."""

    def __init__(self, years: Set[int], off: Set[date], worked: Set[date]) -> None:
        self._years = years
        self._off = off
        self._worked = worked

    def is_working(self, day: date) -> bool:
        """Whether terms in working days count this day."""
        self._check(day)
        return day in self._worked or (day.weekday() < SATURDAY and day not in self._off)

    def is_holiday(self, day: date) -> bool:
        """Whether a day is off that no weekend explains."""
        self._check(day)
        return day in self._off

    def is_worked_weekend(self, day: date) -> bool:
        """Whether a decision made a Saturday or Sunday a working day."""
        self._check(day)
        return day in self._worked

    def working_from(self, day: date) -> date:
        """The day itself, or else the next working day (Administrative Code, 76(5))."""
        while not self.is_working(day):
            day += DAY
        return day

    def add_days(self, day: date, count: int) -> date:
        """The last day of a term of 1 or more working days; the first is after `day` (76(2))."""
        if count < 1:
            raise ValueError("a term has one working day or more")
        for _ in range(count):
            day = self.working_from(day + DAY)
        return day

    def registered_on(self, arrived: datetime, hours: Hours) -> date:
        """The legal date of what arrived: that day, or the next working day (64(3)).

        The next when it is off, or when its working hours are over.
        """
        local = _utc(arrived).astimezone(ZONE)
        late = local.time() > hours.spans[-1][1]
        return self.working_from(local.date() + DAY if late else local.date())

    def end_of(self, day: date, hours: Hours) -> datetime:
        """The moment (UTC) when working hours of a day end: until then a term in days is kept."""
        return _moment(day, hours.spans[-1][1])

    def next_working_moment(self, moment: datetime, hours: WorkingHours) -> datetime:
        """The moment itself (UTC) when people work then, else the next at which they do."""
        begin, _ = next(self._spans(moment, hours))
        return begin

    def add_hours(self, moment: datetime, length: timedelta, hours: WorkingHours) -> datetime:
        """The end (UTC) of a term of working time that begins at `moment`."""
        if length <= timedelta(0):
            raise ValueError("a term has a length")
        for begin, end in self._spans(moment, hours):
            if length <= end - begin:
                return begin + length
            length -= end - begin
        raise AssertionError("the calendar goes on until a year is not entered")

    def working_time(self, start: datetime, end: datetime, hours: WorkingHours) -> timedelta:
        """The working time between two moments; zero when `end` is not later."""
        total = timedelta(0)
        end = _utc(end)
        for begin, over in self._spans(start, hours):
            if begin >= end:
                break
            total += min(over, end) - begin
        return total

    def _spans(self, moment: datetime, hours: WorkingHours) -> Iterator[tuple[datetime, datetime]]:
        """The working spans from `moment` on, in UTC, day after day."""
        start = _utc(moment)
        day = start.astimezone(ZONE).date()
        while True:
            for first, end in hours.spans_on(day, self):
                begin = max(start, first)
                if begin < end:
                    yield begin, end
            day += DAY

    def entered_until(self, day: date) -> date:
        """The last day before the first year, from that of `day` on, that is not entered."""
        year = day.year
        while year in self._years:
            year += 1
        return date(year, 1, 1) - DAY

    def _check(self, day: date) -> None:
        if day.year not in self._years:
            raise YearNotEntered(day.year)


#: Years as `working_calendar.json` has them: of each the days that are off, and those worked.
CalendarYears = Mapping[str, Any]


def parse(content: CalendarYears) -> Calendar:
    """A calendar of these years.

    Raises InvalidRequest that names the year and the fault.
    """
    off: set[date] = set()
    worked: set[date] = set()
    years: set[int] = set()
    try:
        for name, year in content.items():
            years.add(int(name))
            for each in year["off"]:
                day = _of_year(each["date"], int(name))
                if day in off:
                    raise ValueError(f"{day} is there twice")
                DayKind(each["kind"])  # raises when it is none of them
                off.add(day)
            worked |= {_of_year(each, int(name)) for each in year["worked"]}
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise InvalidRequest(f"the working calendar cannot be read: {exc!r}") from exc
    wrong = sorted(day for day in worked if day.weekday() < SATURDAY or day in off)
    if wrong:
        raise InvalidRequest(f"the working calendar: {wrong[0]} is no weekend that can be worked")
    return Calendar(years, off, worked)


@cache
def packaged_years() -> CalendarYears:
    """The years of Kazakhstan that came with this version."""
    years: CalendarYears = json.loads(Path(__file__).with_suffix(".json").read_text("utf-8"))
    return years


def _of_year(text: str, year: int) -> date:
    day = date.fromisoformat(text)
    if day.year != year:
        raise ValueError(f"{day} stands under {year}")
    return day


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a moment must have a time zone")
    return moment.astimezone(UTC)


def _moment(day: date, at: time) -> datetime:
    return datetime.combine(day, at, ZONE).astimezone(UTC)
