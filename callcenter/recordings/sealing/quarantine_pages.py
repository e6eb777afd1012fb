"""The page of the quarantine: what is wrong with each recording, and settling it."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import Request
from starlette.responses import Response

from callcenter.platform.core.i18n import length
from callcenter.platform.identity.actor import Actor
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import AppContext, CurrentActor, CurrentSite
from callcenter.platform.web.form_fields import NO_NUL
from callcenter.platform.web.page_actions import action
from callcenter.platform.web.templating import page
from callcenter.recordings.permissions import RecordingPermission
from callcenter.recordings.sealing import quarantine, quarantine_store

SHOWN = 50  # recordings, the oldest; the next ones when these are settled

Settlement = Annotated[str, Form(max_length=quarantine.LONGEST_TEXT, pattern=NO_NUL)]

router = APIRouter(
    include_in_schema=False, dependencies=[requires(RecordingPermission.SETTLE_QUARANTINE)]
)


@router.get("/quarantine")
async def quarantined(request: Request, site: CurrentSite) -> Response:
    """Recordings in quarantine, the oldest first, each with what to do."""
    return await _list(request, site)


@router.post("/quarantine/{recording_id}")
async def settle(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    recording_id: UUID,
    reason: Settlement = "",
) -> Response:
    """Take a recording out of quarantine; the reason is in the audit log."""
    return await action(
        _settle(site.engine, actor, recording_id, reason),
        "/quarantine",
        lambda _refusal: _list(request, site, refused=recording_id),
    )


async def _settle(engine: AsyncEngine, actor: Actor, recording_id: UUID, reason: str) -> None:
    async with unit_of_work(engine) as connection:
        await quarantine.resolve(connection, actor, {recording_id}, reason)


async def _list(request: Request, site: AppContext, refused: UUID | None = None) -> Response:
    async with unit_of_work(site.engine) as connection:
        found = await quarantine_store.list_quarantined(connection)
    return page(
        request,
        "recordings/quarantine.html",
        status=400 if refused else 200,
        found=found[:SHOWN],
        more=max(0, len(found) - SHOWN),
        refused=refused,
        is_there=refused in {each.id for each in found},
        length=length,
    )
