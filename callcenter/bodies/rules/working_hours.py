"""Working hours of a body: its week, and days of its own, by the state's calendar (R22).

Written as opening hours, with days after them: `Mo-Fr 09:00-13:00,14:30-18:30; 2026-12-30
09:00-13:00; 2026-12-31 off`. A body of which no week is entered works as most do.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from callcenter.bodies.rules.opening_hours import (
    ALL_DAY,
    DAYS,
    TIMES,
    DayTimes,
    OpeningRule,
    format_hours,
    format_times,
    parse_hours,
    parse_times,
)
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.core.working_calendar import OFFICE_HOURS, SATURDAY, Calendar

log = logging.getLogger(__name__)

OWN_DAYS_LIMIT = 100
OFF = "off"

_OWN_DAY = re.compile(rf"(?P<day>\d{{4}}-\d\d-\d\d) +(?:{OFF}|(?P<times>{TIMES}))")
#: The week of most state bodies.
USUAL_WEEK = (
    OpeningRule(
        tuple(range(SATURDAY)),
        tuple((f"{begin:%H:%M}", f"{end:%H:%M}") for begin, end in OFFICE_HOURS.spans),
    ),
)


@dataclass(frozen=True, slots=True)
class BodyHours:
    """Working hours of a body: `platform.core.working_calendar.WorkingHours`."""

    week: tuple[OpeningRule, ...] = ()  #: none: nobody has entered it
    own_days: Mapping[date, DayTimes] = field(default_factory=dict)  #: without times: off

    def spans_on(self, day: date, calendar: Calendar) -> list[tuple[datetime, datetime]]:
        """The spans of a day in UTC. Raises YearNotEntered."""
        return [
            (_moment(day, begin), _moment(day, end)) for begin, end in self._times(day, calendar)
        ]

    def _times(self, day: date, calendar: Calendar) -> DayTimes:
        """The times of a day: its own, else those of the week, by holidays and moved days."""
        if day in self.own_days:
            return self.own_days[day]
        week = self.week or USUAL_WEEK
        of_weekday = {weekday: rule.times for rule in week for weekday in rule.days}
        if len(of_weekday) == len(DAYS) and set(of_weekday.values()) == {ALL_DAY}:
            return of_weekday[day.weekday()]
        if calendar.is_holiday(day):
            return ()
        if calendar.is_worked_weekend(day) and day.weekday() not in of_weekday:
            # Which weekday it replaces is not in the calendar: the first of the week stands for it.
            return of_weekday[min(of_weekday)]
        return of_weekday.get(day.weekday(), ())


def parse_working_hours(text: str) -> BodyHours:
    """Parse working hours; empty when nobody has entered them. Raises InvalidRequest."""
    week: list[str] = []
    own_days: dict[date, DayTimes] = {}
    for part in filter(None, map(str.strip, text.split(";"))):
        found = _OWN_DAY.fullmatch(part)
        if found is None:
            week.append(part)
            continue
        day = _read_day(found["day"])
        if day in own_days:
            raise InvalidRequest("each day of its own has its hours once")
        own_days[day] = parse_times(found["times"]) if found["times"] else ()
    if len(own_days) > OWN_DAYS_LIMIT:
        raise InvalidRequest(f"a body has {OWN_DAYS_LIMIT} days of its own at most")
    return BodyHours(parse_hours(";".join(week)), dict(sorted(own_days.items())))


def read_stored_hours(text: str) -> BodyHours:
    """Read working hours as they are stored: as most bodies have, where that cannot be done.

    A version after this may have written them.
    """
    try:
        return parse_working_hours(text)
    except InvalidRequest as exc:
        log.error("working hours not read: %r: %s", text, exc)
        return BodyHours()


def format_working_hours(hours: BodyHours) -> str:
    """Working hours as they are stored: what `parse_working_hours` reads."""
    days = (f"{day} {format_times(times) or OFF}" for day, times in hours.own_days.items())
    return "; ".join(filter(None, (format_hours(hours.week), *days)))


def _read_day(written: str) -> date:
    try:
        return date.fromisoformat(written)
    except ValueError as exc:
        raise InvalidRequest("a day of its own is a day of the calendar") from exc


def _moment(day: date, at: str) -> datetime:
    """The moment (UTC) of a time of a day; 24:00 is the midnight after it."""
    hour, minute = map(int, at.split(":"))
    midnight = datetime.combine(day, time(), ZONE)
    return (midnight + timedelta(hours=hour, minutes=minute)).astimezone(UTC)
