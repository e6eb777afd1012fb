"""Erasure of recordings in JSON, below /api/v1: two people, each with a reason."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form
from pydantic import BaseModel

from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentActor, CurrentSite
from callcenter.recordings.permissions import RecordingPermission
from callcenter.recordings.retention import service, store

router = APIRouter(tags=["recordings"], dependencies=[requires(RecordingPermission.ERASE)])

SHOWN = 500  # recordings whose time is over; the next ones when these are decided on


class Erasures(BaseModel):
    """Requests that wait for a decision, and recordings whose retention time is over."""

    waiting: list[store.ErasureRequest]
    due: list[UUID]


@router.get("/api/v1/erasures")
async def list_erasures(site: CurrentSite) -> Erasures:
    """Requests, the oldest first, and recordings past CALLCENTER_RETENTION_DAYS."""
    async with unit_of_work(site.engine) as connection:
        waiting = await store.list_waiting(connection)
        due = await store.list_expired(
            connection, site.settings.retention_days, datetime.now(UTC), limit=SHOWN
        )
    return Erasures(waiting=waiting, due=[each.id for each in due])


@router.post("/api/v1/recordings/{recording_id}/erasure", status_code=201)
async def ask(
    site: CurrentSite,
    actor: CurrentActor,
    recording_id: UUID,
    reason: Annotated[str, Form()],
    order: Annotated[str | None, Form()] = None,
) -> UUID:
    """Request the erasure of a recording; `order` is the number and date of the order, if any."""
    return await service.request_erasure(
        site.engine, actor, recording_id, reason=reason, order=order
    )


@router.post("/api/v1/erasures/{erasure_id}/decision", status_code=204)
async def decide(
    site: CurrentSite,
    actor: CurrentActor,
    erasure_id: UUID,
    approve: Annotated[bool, Form()],
    reason: Annotated[str, Form()],
) -> None:
    """Approve or refuse another person's request. Approved, it cannot be opened any more."""
    await service.decide_erasure(site.engine, actor, erasure_id, approve=approve, reason=reason)
