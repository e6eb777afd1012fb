"""The page of the effective settings."""

import os
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from callcenter.configuration.labels import SOURCES
from callcenter.configuration.permissions import ConfigurationPermission
from callcenter.configuration.rules import SettingSource, effective_settings
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentSite
from callcenter.platform.web.templating import page

router = APIRouter(
    include_in_schema=False, dependencies=[requires(ConfigurationPermission.VIEW_SETTINGS)]
)


@router.get("/settings")
async def settings(
    request: Request,
    site: CurrentSite,
    text: Annotated[str, Query(max_length=120)] = "",
    changed: bool = False,
) -> Response:
    """The settings of this process: those that mention a text, and all or only those set."""
    found = [
        each
        for each in effective_settings(site.settings, os.environ)
        if each.mentions(text.strip()) and not (changed and each.source is SettingSource.DEFAULT)
    ]
    return page(
        request,
        "configuration/settings.html",
        found=found,
        text=text,
        changed=changed,
        sources=SOURCES,
    )
