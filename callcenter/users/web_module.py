"""Routers, templates and menu of the room of users."""

from pathlib import Path

from callcenter.platform.core.errors import N_
from callcenter.platform.web.context import MenuEntry, WebModule
from callcenter.users import api, pages, people_table_pages
from callcenter.users.guides import GUIDES
from callcenter.users.permissions import UserPermission

WEB_MODULE = WebModule(
    name="users",
    routers=(
        pages.router,
        people_table_pages.router,
        api.router,
    ),
    templates=Path(__file__).parent / "templates",
    guides=GUIDES,
    static=Path(__file__).parent / "static",
    menu=(MenuEntry(200, "/users", N_("Users"), UserPermission.MANAGE_USERS, more=True),),
)
