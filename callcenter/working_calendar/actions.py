"""Action on the working calendar."""

from callcenter.platform.audit.actions import Action
from callcenter.platform.core.errors import N_


class CalendarAction(Action):
    """Action on the working calendar; subject: calendar:YEAR."""

    #: or corrected; detail: version, off, worked
    YEAR_ENTERED = "web:calendar:year_entered", N_("Year of the working calendar entered")
