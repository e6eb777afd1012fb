"""Routers, templates and menu of the room of the consultant's page."""

from pathlib import Path

from callcenter.consultants.permissions import ConsultantPermission
from callcenter.platform.core.errors import N_
from callcenter.platform.web.context import MenuEntry, WebModule
from callcenter.workspace import call_control_api, pages, softphone_pages
from callcenter.workspace.guides import GUIDES

WEB_MODULE = WebModule(
    name="workspace",
    routers=(
        pages.router,
        softphone_pages.router,
        call_control_api.router,
    ),
    templates=Path(__file__).parent / "templates",
    guides=GUIDES,
    static=Path(__file__).parent / "static",
    menu=(MenuEntry(10, "/workspace", N_("My work"), ConsultantPermission.OWN_DUTY, starts=True),),
    plain_to_see=("/workspace",),
)
