"""The moment at which a request leaves: at once when urgent, else when the body works."""

from datetime import datetime, timedelta

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


def is_departure_late(leaves_at: datetime, now: datetime, *, is_urgent: bool) -> bool:
    """Whether a request should have left by now."""
    return now - leaves_at > (URGENT_LATE_AFTER if is_urgent else LATE_AFTER)
