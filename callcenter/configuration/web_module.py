"""Router, templates and menu of the configuration."""

from pathlib import Path

from callcenter.configuration import pages
from callcenter.configuration.guides import GUIDES
from callcenter.configuration.permissions import ConfigurationPermission
from callcenter.platform.core.errors import N_
from callcenter.platform.web.context import MenuEntry, WebModule

WEB_MODULE = WebModule(
    name="configuration",
    routers=(pages.router,),
    templates=Path(__file__).parent / "templates",
    guides=GUIDES,
    menu=(
        MenuEntry(
            220, "/settings", N_("Settings"), ConfigurationPermission.VIEW_SETTINGS, more=True
        ),
    ),
)
