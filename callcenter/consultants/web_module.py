"""Routers, templates and menu of the room of consultants."""

from pathlib import Path

from callcenter.consultants import api, pages
from callcenter.consultants.guides import GUIDES
from callcenter.consultants.permissions import ConsultantPermission
from callcenter.consultants.presence import PresenceService
from callcenter.platform.core.errors import N_
from callcenter.platform.web.context import MenuEntry, WebModule

WEB_MODULE = WebModule(
    name="consultants",
    routers=(
        api.router,
        pages.router,
    ),
    templates=Path(__file__).parent / "templates",
    static=Path(__file__).parent / "static",
    guides=GUIDES,
    loops=(lambda site: PresenceService(site.redis, site.settings).report_pages_served(),),
    menu=(
        MenuEntry(
            190,
            "/consultants",
            N_("Consultants"),
            ConsultantPermission.MANAGE_CONSULTANTS,
            beside="/lists",
            more=True,
        ),
    ),
)
