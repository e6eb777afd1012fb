"""Erasing recordings in JSON, below /api/v1: two people, each with a reason."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form
from pydantic import BaseModel

from callcenter.recordings import erasing
from callcenter.storage.engine import unit_of_work
from callcenter.web.access import needs
from callcenter.web.permissions import Permission
from callcenter.web.site import CurrentSite, CurrentVisit

router = APIRouter(tags=["recordings"], dependencies=[needs(Permission.ERASE)])

SHOWN = 500  # recordings whose time is over; the next ones when these are decided on


class Erasures(BaseModel):
    """What waits for a decision, and recordings whose time to be kept is over."""

    waiting: list[erasing.Erasure]
    due: list[UUID]


@router.get("/api/v1/erasures")
async def list_erasures(site: CurrentSite) -> Erasures:
    """Requests, the oldest first, and what CALLCENTER_RETENTION_DAYS says is to be asked for."""
    async with unit_of_work(site.engine) as connection:
        waiting = await erasing.waiting(connection)
        due = await erasing.due(
            connection, site.settings.retention_days, datetime.now(UTC), limit=SHOWN
        )
    return Erasures(waiting=waiting, due=[each.id for each in due])


@router.post("/api/v1/recordings/{recording_id}/erasure", status_code=201)
async def ask(
    site: CurrentSite,
    visit: CurrentVisit,
    recording_id: UUID,
    reason: Annotated[str, Form()],
    order: Annotated[str | None, Form()] = None,
) -> UUID:
    """Ask that a recording be erased; `order` is the number and date of the order, if any."""
    return await erasing.ask(site.engine, visit, recording_id, reason=reason, order=order)


@router.post("/api/v1/erasures/{erasure_id}/decision", status_code=204)
async def decide(
    site: CurrentSite,
    visit: CurrentVisit,
    erasure_id: UUID,
    approve: Annotated[bool, Form()],
    reason: Annotated[str, Form()],
) -> None:
    """Approve or refuse what another person asked for. Approved, it cannot be opened any more."""
    await erasing.decide(site.engine, visit, erasure_id, approve=approve, reason=reason)
