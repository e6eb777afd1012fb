"""Routers, templates and menu of the room of callbacks and voicemail."""

from pathlib import Path

from callcenter.consultants.permissions import ConsultantPermission
from callcenter.platform.core.errors import N_
from callcenter.platform.web.context import MenuEntry, WebModule
from callcenter.telephony.callbacks import api, pages
from callcenter.telephony.callbacks.guides import GUIDES

WEB_MODULE = WebModule(
    name="callbacks",
    routers=(
        pages.router,
        pages.hearing,
        api.router,
    ),
    templates=Path(__file__).parent / "templates",
    static=Path(__file__).parent / "static",
    guides=GUIDES,
    menu=(
        MenuEntry(
            100,
            "/promises",
            N_("Callbacks and messages"),
            ConsultantPermission.SUPERVISE,
            more=True,
        ),
    ),
)
