"""Routers, templates and menu of the room of care plans."""

from pathlib import Path

from callcenter.platform.core.errors import N_
from callcenter.platform.web.context import MenuEntry, WebModule
from callcenter.telephony.callers.care_plans import api, pages
from callcenter.telephony.callers.care_plans.guides import GUIDES
from callcenter.telephony.callers.care_plans.permissions import CarePlanPermission

WEB_MODULE = WebModule(
    name="care_plans",
    routers=(
        pages.router,
        api.router,
    ),
    templates=Path(__file__).parent / "templates",
    static=Path(__file__).parent / "static",
    guides=GUIDES,
    menu=(
        MenuEntry(
            160,
            "/plans",
            N_("Plans for frequent callers"),
            CarePlanPermission.MANAGE_PLANS,
            more=True,
        ),
    ),
)
