"""Routers and templates of the room of urgent notifications."""

from pathlib import Path

from callcenter.platform.web.context import WebModule
from callcenter.urgent_notifications import pages

WEB_MODULE = WebModule(
    name="urgent_notifications",
    routers=(pages.router,),
    templates=Path(__file__).parent / "templates",
)
