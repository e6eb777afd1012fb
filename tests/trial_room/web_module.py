"""Routers, templates, script and menu of the garden."""

from pathlib import Path

from callcenter.platform.web.context import AppContext, MenuEntry, WebModule
from tests.trial_room import pages
from tests.trial_room.permissions import GardenPermission
from tests.trial_room.room import NothingToWatch


async def _watch_pages(_site: AppContext) -> None:
    """Look after the garden beside the pages, once."""
    raise NothingToWatch


WEB_MODULE = WebModule(
    name="garden",
    routers=(pages.router,),
    templates=Path(__file__).parent / "templates",
    static=Path(__file__).parent / "static",
    menu=(MenuEntry(900, "/garden", "Garden", GardenPermission.TEND),),
    plain_to_see=("/garden",),
    loops=(_watch_pages,),
)
