"""Routers, templates, script and menu of the garden."""

from pathlib import Path

from callcenter.platform.web.context import MenuEntry, WebModule
from tests.trial_room import pages
from tests.trial_room.permissions import GardenPermission

WEB_MODULE = WebModule(
    name="garden",
    routers=(pages.router,),
    templates=Path(__file__).parent / "templates",
    static=Path(__file__).parent / "static",
    menu=(MenuEntry(900, "/garden", "Garden", GardenPermission.TEND),),
    plain_to_see=("/garden",),
)
