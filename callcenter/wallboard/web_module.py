"""Routers, templates and menu of the room of the wallboard."""

from pathlib import Path

from callcenter.platform.core.errors import N_
from callcenter.platform.web.context import MenuEntry, WebModule
from callcenter.wallboard import api, pages
from callcenter.wallboard.guides import GUIDES
from callcenter.wallboard.permissions import WallboardPermission

WEB_MODULE = WebModule(
    name="wallboard",
    routers=(
        pages.router,
        api.router,
    ),
    templates=Path(__file__).parent / "templates",
    guides=GUIDES,
    static=Path(__file__).parent / "static",
    menu=(
        MenuEntry(40, "/live", N_("Now"), WallboardPermission.VIEW_LIVE, starts=True),
        MenuEntry(45, "/live/alarms", N_("Alarms"), WallboardPermission.ACKNOWLEDGE_ALERTS),
    ),
)
