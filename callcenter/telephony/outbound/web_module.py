"""Routers, templates and menu of the room of consultants' outbound calls."""

from pathlib import Path

from callcenter.platform.web.context import WebModule
from callcenter.telephony.outbound import api, pages

WEB_MODULE = WebModule(
    name="outbound",
    routers=(
        pages.router,
        api.router,
    ),
    templates=Path(__file__).parent / "templates",
)
