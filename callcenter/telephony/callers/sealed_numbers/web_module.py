"""Routers, templates and menu of the room of sealed numbers."""

from pathlib import Path

from callcenter.platform.core.errors import N_
from callcenter.platform.web.context import MenuEntry, WebModule
from callcenter.telephony.callers.sealed_numbers import pages
from callcenter.telephony.callers.sealed_numbers.guides import GUIDES
from callcenter.telephony.callers.sealed_numbers.permissions import SealedNumberPermission

WEB_MODULE = WebModule(
    name="sealed_numbers",
    routers=(pages.router,),
    templates=Path(__file__).parent / "templates",
    guides=GUIDES,
    menu=(
        MenuEntry(
            175,
            "/sealed-numbers",
            N_("Sealed numbers"),
            SealedNumberPermission.TRACE_NUMBERS,
            more=True,
        ),
    ),
)
