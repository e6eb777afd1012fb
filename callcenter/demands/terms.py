"""The time that a demand sets (R17): when it ends, and when to alarm before it does.

Terms in working days and hours are counted by the state's calendar (docs/decisions/0021).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from callcenter.errors import AskedWrongly
from callcenter.workdays.calendar import USUAL, Calendar, YearNotEntered

LONGEST = timedelta(days=366)  #: from the arrival to a moment that a letter names
MOST = {"working_days": 60, "working_hours": 240}


class Unit(StrEnum):
    """How the letter sets the time."""

    WORKING_DAYS = "working_days"
    WORKING_HOURS = "working_hours"
    MOMENT = "moment"  #: a day and hour


@dataclass(frozen=True)
class Term:
    """A time as the letter sets it: a count of working days or hours, or a moment."""

    unit: Unit
    count: int | None = None
    moment: datetime | None = None


class Standing(StrEnum):
    """How a demand stands to its time."""

    IN_TIME = "in_time"
    DUE_SOON = "due_soon"
    OVERDUE = "overdue"


def due_at(term: Term, received_at: datetime, calendar: Calendar) -> datetime:
    """The moment (UTC) until which the term is kept, of a letter that arrived then.

    Days begin after the day of arrival, or after the next working day for what came when work was
    over. Raises AskedWrongly for a term that cannot be one, YearNotEntered.
    """
    if term.unit is Unit.MOMENT:
        if term.moment is None or not received_at < term.moment <= received_at + LONGEST:
            raise AskedWrongly("the moment must be after the arrival, and within a year")
        return term.moment
    if term.count is None or not 1 <= term.count <= MOST[term.unit]:
        raise AskedWrongly(f"a term has 1 to {MOST[term.unit]} {term.unit.replace('_', ' ')}")
    if term.unit is Unit.WORKING_HOURS:
        return calendar.add_hours(received_at, timedelta(hours=term.count), USUAL)
    arrived_on = calendar.registered_on(received_at, USUAL)
    return calendar.end_of(calendar.add_days(arrived_on, term.count), USUAL)


def warn_at(received_at: datetime, due: datetime, calendar: Calendar) -> datetime:
    """The moment (UTC) to alarm before `due`: a quarter of the working time is left.

    Of the time by the clock, where nobody works in between or the calendar does not know.
    """
    try:
        working = calendar.working_time(received_at, due, USUAL)
        if working:
            return calendar.add_hours(received_at, working * 3 / 4, USUAL)
    except YearNotEntered:
        pass
    return received_at + (due - received_at) * 3 / 4


def standing(warn: datetime, due: datetime, now: datetime) -> Standing:
    """How a demand stands to its time now."""
    if now >= due:
        return Standing.OVERDUE
    return Standing.DUE_SOON if now >= warn else Standing.IN_TIME
