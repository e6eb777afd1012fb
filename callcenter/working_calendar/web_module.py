"""Routers, templates and menu of the working calendar."""

from pathlib import Path

from callcenter.platform.core.errors import N_
from callcenter.platform.web.context import MenuEntry, WebModule
from callcenter.working_calendar import pages
from callcenter.working_calendar.guides import GUIDES
from callcenter.working_calendar.permissions import CalendarPermission

WEB_MODULE = WebModule(
    name="working_calendar",
    routers=(pages.router,),
    templates=Path(__file__).parent / "templates",
    guides=GUIDES,
    menu=(
        MenuEntry(
            195, "/calendar", N_("Working calendar"), CalendarPermission.MANAGE_CALENDAR, more=True
        ),
    ),
)
