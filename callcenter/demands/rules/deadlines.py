"""The deadline of a demand (R17) and the moment of the alert before it.

Terms in working days and hours are counted by the state's calendar (docs/decisions/0020).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.working_calendar import OFFICE_HOURS, Calendar, YearNotEntered

LONGEST = timedelta(days=366)  #: from the arrival to a moment that a letter names
MOST = {"working_days": 60, "working_hours": 240}


class DemandTimeUnit(StrEnum):
    """The unit of the term in a letter."""

    WORKING_DAYS = "working_days"
    WORKING_HOURS = "working_hours"
    MOMENT = "moment"  #: a day and hour


@dataclass(frozen=True)
class DeadlineTerm:
    """The term in a letter: a count of working days or hours, or a moment."""

    unit: DemandTimeUnit
    count: int | None = None
    moment: datetime | None = None


class DeadlineStatus(StrEnum):
    """Whether a demand is in time, due soon or overdue."""

    IN_TIME = "in_time"
    DUE_SOON = "due_soon"
    OVERDUE = "overdue"


def due_at(term: DeadlineTerm, received_at: datetime, calendar: Calendar) -> datetime:
    """The deadline (UTC) of a letter with this term, received then.

    Days begin after the day of arrival, or after the next working day for what came when work was
    over. Raises InvalidRequest for a term that cannot be one, YearNotEntered.
    """
    if term.unit is DemandTimeUnit.MOMENT:
        if term.moment is None or not received_at < term.moment <= received_at + LONGEST:
            raise InvalidRequest("the moment must be after the arrival, and within a year")
        return term.moment
    if term.count is None or not 1 <= term.count <= MOST[term.unit]:
        raise InvalidRequest(f"a term has 1 to {MOST[term.unit]} {term.unit.replace('_', ' ')}")
    if term.unit is DemandTimeUnit.WORKING_HOURS:
        return calendar.add_hours(received_at, timedelta(hours=term.count), OFFICE_HOURS)
    arrived_on = calendar.registered_on(received_at, OFFICE_HOURS)
    return calendar.end_of(calendar.add_days(arrived_on, term.count), OFFICE_HOURS)


def warn_at(received_at: datetime, due: datetime, calendar: Calendar) -> datetime:
    """The moment (UTC) of the alert before `due`: a quarter of the working time is left.

    Of the time by the clock, where nobody works in between or the calendar does not know.
    """
    try:
        working = calendar.working_time(received_at, due, OFFICE_HOURS)
        if working:
            return calendar.add_hours(received_at, working * 3 / 4, OFFICE_HOURS)
    except YearNotEntered:
        pass
    return received_at + (due - received_at) * 3 / 4


def deadline_status(warn: datetime, due: datetime, now: datetime) -> DeadlineStatus:
    """The status of a deadline now."""
    if now >= due:
        return DeadlineStatus.OVERDUE
    return DeadlineStatus.DUE_SOON if now >= warn else DeadlineStatus.IN_TIME
