"""Routers, templates and menu of the room of appeals."""

from pathlib import Path

from callcenter.appeals.calls import api
from callcenter.appeals.guides import GUIDES
from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.recordings import pages as recordings_pages
from callcenter.appeals.web import (
    appeal_pages,
    attachments_api,
    attachments_pages,
    contact_api,
    contact_pages,
    correspondence_api,
    correspondence_pages,
    follow_up_calls_pages,
    form_api,
    form_pages,
    masking_api,
    masking_pages,
    oral_contacts_pages,
    preset_pages,
    psychological_help_pages,
    record_api,
    record_pages,
    reminders_api,
    saved_searches_api,
    search_api,
    search_pages,
    status_api,
    transitions_api,
)
from callcenter.platform.core.errors import N_
from callcenter.platform.web.context import MenuEntry, WebModule

WEB_MODULE = WebModule(
    name="appeals",
    routers=(
        appeal_pages.router,
        appeal_pages.showing,
        appeal_pages.editing,
        api.router,
        api.showing,
        api.editing,
        recordings_pages.router,
        recordings_pages.erasing,
        record_pages.router,
        record_pages.assigning,
        record_pages.extending,
        record_pages.overriding,
        contact_pages.router,
        contact_api.router,
        attachments_pages.router,
        attachments_api.router,
        correspondence_pages.router,
        oral_contacts_pages.router,
        psychological_help_pages.router,
        follow_up_calls_pages.router,
        preset_pages.router,
        preset_pages.filling,
        correspondence_api.router,
        masking_pages.router,
        masking_api.router,
        search_pages.router,
        search_pages.viewing,
        search_pages.assigning,
        form_pages.router,
        record_api.router,
        reminders_api.router,
        transitions_api.router,
        transitions_api.extending,
        search_api.router,
        saved_searches_api.router,
        form_api.router,
        status_api.router,
    ),
    templates=Path(__file__).parent / "templates",
    guides=GUIDES,
    static=Path(__file__).parent / "static",
    menu=(
        MenuEntry(
            20,
            "/search",
            N_("Appeals"),
            AppealPermission.VIEW_APPEALS,
            beside="/appeals",
            starts=True,
        ),
        MenuEntry(30, "/work", N_("Work lists"), AppealPermission.EDIT_APPEALS),
        MenuEntry(
            140, "/masking", N_("Masking of personal data"), AppealPermission.MASK, more=True
        ),
        MenuEntry(
            180,
            "/form",
            N_("The form of appeals"),
            AppealPermission.EDIT_FORM,
            beside="/terms",
            more=True,
        ),
    ),
)
