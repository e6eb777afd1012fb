"""Router, templates and menu of the room of reports."""

from pathlib import Path

from callcenter.platform.core.errors import N_
from callcenter.platform.web.context import MenuEntry, WebModule
from callcenter.reports import pages
from callcenter.reports.guides import GUIDES
from callcenter.reports.permissions import ReportPermission

WEB_MODULE = WebModule(
    name="reports",
    routers=(pages.router,),
    templates=Path(__file__).parent / "templates",
    guides=GUIDES,
    static=Path(__file__).parent / "static",
    menu=(MenuEntry(47, "/figures", N_("Figures"), ReportPermission.VIEW_FIGURES),),
)
