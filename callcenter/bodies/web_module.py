"""Routers, templates and menu of the room of state bodies."""

from pathlib import Path

from callcenter.bodies import competence_pages, file_pages, pages, referral_pages
from callcenter.bodies.guides import GUIDES
from callcenter.bodies.permissions import BodyPermission
from callcenter.platform.core.errors import N_
from callcenter.platform.web.context import MenuEntry, WebModule

WEB_MODULE = WebModule(
    name="bodies",
    routers=(
        pages.router,
        pages.verifying,
        pages.editing,
        file_pages.router,
        competence_pages.router,
        referral_pages.router,
        referral_pages.referring,
    ),
    templates=Path(__file__).parent / "templates",
    guides=GUIDES,
    menu=(
        MenuEntry(
            140,
            "/bodies",
            N_("State bodies"),
            BodyPermission.VIEW_BODIES,
            beside="/competence",
            more=True,
        ),
    ),
)
