"""The room of the working calendar: what it registers."""

from callcenter.platform.core.registry import Room
from callcenter.platform.storage.table_rights import TableRights
from callcenter.working_calendar.actions import CalendarAction
from callcenter.working_calendar.permissions import CalendarPermission
from callcenter.working_calendar.tables import calendar_year

ROOM = Room(
    name="working_calendar",
    web="callcenter.working_calendar.web_module",
    offers=(
        *CalendarPermission,
        *CalendarAction,
        TableRights(calendar_year, worker="s", web="si"),
    ),
)
