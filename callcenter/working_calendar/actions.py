"""Action on the working calendar."""

from callcenter.platform.audit.actions import Action


class CalendarAction(Action):
    """Action on the working calendar; subject: calendar:YEAR."""

    YEAR_ENTERED = "web:calendar:year_entered"  #: or corrected; detail: version, off, worked
