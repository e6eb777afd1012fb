"""Routers, templates and menu of the room of recordings."""

from pathlib import Path

from callcenter.platform.core.errors import N_
from callcenter.platform.web.context import MenuEntry, WebModule
from callcenter.recordings import api
from callcenter.recordings.guides import GUIDES
from callcenter.recordings.permissions import RecordingPermission
from callcenter.recordings.retention import api as retention_api
from callcenter.recordings.retention import pages as retention_pages
from callcenter.recordings.sealing import quarantine_pages

WEB_MODULE = WebModule(
    name="recordings",
    routers=(
        api.router,
        retention_api.router,
        retention_pages.router,
        quarantine_pages.router,
    ),
    templates=Path(__file__).parent / "templates",
    static=Path(__file__).parent / "static",
    guides=GUIDES,
    menu=(
        MenuEntry(
            125,
            "/quarantine",
            N_("Recordings set aside"),
            RecordingPermission.SETTLE_QUARANTINE,
            more=True,
        ),
        MenuEntry(130, "/erasures", N_("Erasing recordings"), RecordingPermission.ERASE, more=True),
    ),
)
