"""Routers, templates and menu of the room of the authority's demands."""

from pathlib import Path

from callcenter.demands import api, authority_pages, pages, records_office_pages
from callcenter.demands.guides import GUIDES
from callcenter.demands.permissions import DemandPermission
from callcenter.platform.core.errors import N_
from callcenter.platform.web.context import MenuEntry, WebModule

WEB_MODULE = WebModule(
    name="demands",
    routers=(
        pages.router,
        records_office_pages.router,
        authority_pages.router,
        api.router,
    ),
    templates=Path(__file__).parent / "templates",
    static=Path(__file__).parent / "static",
    guides=GUIDES,
    menu=(
        MenuEntry(
            15,
            "/records-office",
            N_("What waits for you"),
            DemandPermission.WORK_IN_RECORDS_OFFICE,
            starts=True,
        ),
        MenuEntry(
            50,
            "/authority/demands",
            N_("Our demands"),
            DemandPermission.FILE_DEMANDS,
            starts=True,
        ),
        MenuEntry(150, "/demands", N_("Demands"), DemandPermission.HANDLE_DEMANDS, more=True),
    ),
)
