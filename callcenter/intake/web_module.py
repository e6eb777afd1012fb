"""Routers and templates of the room of intake."""

from pathlib import Path

from callcenter.intake import contact_pages
from callcenter.platform.web.context import WebModule

WEB_MODULE = WebModule(
    name="intake",
    routers=(contact_pages.router,),
    templates=Path(__file__).parent / "templates",
)
