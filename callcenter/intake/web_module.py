"""Routers, templates and guides of the room of intake."""

from pathlib import Path

from callcenter.intake import contact_pages, message_pages
from callcenter.intake.drivers.manual import pages as manual_pages
from callcenter.intake.drivers.programs import api
from callcenter.intake.guides import GUIDES
from callcenter.platform.web.context import WebModule

WEB_MODULE = WebModule(
    name="intake",
    routers=(
        contact_pages.router,
        message_pages.router,
        message_pages.showing,
        manual_pages.router,
        api.router,
    ),
    templates=Path(__file__).parent / "templates",
    guides=GUIDES,
)
