"""The room of the working calendar: what it registers."""

from callcenter.platform.core.registry import Room
from callcenter.working_calendar.actions import CalendarAction
from callcenter.working_calendar.permissions import CalendarPermission

ROOM = Room(
    name="working_calendar",
    web="callcenter.working_calendar.web_module",
    offers=(*CalendarPermission, *CalendarAction),
)
