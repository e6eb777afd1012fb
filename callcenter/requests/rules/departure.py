"""Departure of a request: at once when urgent, else when the body works."""

from datetime import date, datetime, time, timedelta

from callcenter.platform.core.timezone import ZONE
from callcenter.platform.core.working_calendar import Calendar, WorkingHours

LATE_AFTER = timedelta(minutes=30)  # of a request that nobody has handed over
URGENT_LATE_AFTER = timedelta(minutes=5)


def plan_departure(
    now: datetime, *, is_urgent: bool, hours: WorkingHours, calendar: Calendar
) -> datetime:
    """The moment at which a request that waits now leaves (R11, R22).

    While it waits this stays the same, unless it becomes urgent, or hours or calendar change.
    Raises YearNotEntered, and never of what is urgent.
    """
    return now if is_urgent else calendar.next_working_moment(now, hours)


def plan_registration(
    dated: date, now: datetime, *, hours: WorkingHours, calendar: Calendar
) -> date:
    """The day on which a body registers what has its number of a day (APPC, 64(3)).

    What is handed over after its hours, or on a day on which it or the state does not work, is
    registered on the next on which they do. Raises YearNotEntered.
    """
    is_of_today = dated == now.astimezone(ZONE).date()
    arrived = now if is_of_today else datetime.combine(dated, time(), ZONE)
    works_at = calendar.next_working_moment(arrived, hours)
    return calendar.working_from(works_at.astimezone(ZONE).date())


def is_departure_late(leaves_at: datetime, now: datetime, *, is_urgent: bool) -> bool:
    """Whether a request should have left by now."""
    return now - leaves_at > (URGENT_LATE_AFTER if is_urgent else LATE_AFTER)
