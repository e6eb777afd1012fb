"""Routers, templates and menu of the room of blocked numbers."""

from pathlib import Path

from callcenter.platform.core.errors import N_
from callcenter.platform.web.context import MenuEntry, WebModule
from callcenter.telephony.callers.blocklist import api, pages
from callcenter.telephony.callers.blocklist.guides import GUIDES
from callcenter.telephony.callers.blocklist.permissions import BlocklistPermission

WEB_MODULE = WebModule(
    name="blocklist",
    routers=(
        pages.router,
        api.router,
    ),
    templates=Path(__file__).parent / "templates",
    static=Path(__file__).parent / "static",
    guides=GUIDES,
    menu=(
        MenuEntry(
            170, "/blocked", N_("Blocked numbers"), BlocklistPermission.BLOCK_NUMBERS, more=True
        ),
    ),
)
