"""Why consultants ended conversations, in JSON below /api/v1."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Form
from pydantic import BaseModel

from callcenter.appeals.hang_ups import HangUp, Reason, explain, unexplained
from callcenter.consultants.api import own_extension
from callcenter.storage.engine import unit_of_work
from callcenter.web.access import needs
from callcenter.web.permissions import Permission
from callcenter.web.site import CurrentSite, CurrentVisit, Site

LOOKED_AT = timedelta(days=1)  #: calls received so long ago at most

router = APIRouter(tags=["appeals"])


class Unexplained(BaseModel):
    """A conversation that a consultant ended without having said why."""

    appeal: str
    extension: str
    at: datetime


@router.get("/api/v1/hang-ups", dependencies=[needs(Permission.SUPERVISE)])
async def list_unexplained(site: CurrentSite) -> list[Unexplained]:
    """Conversations of the last day that consultants ended, and for which a reason is missing."""
    waiting = await waiting_for_reasons(site)
    return [Unexplained.model_validate(each, from_attributes=True) for each in waiting]


async def waiting_for_reasons(site: Site) -> Sequence[HangUp]:
    """As `list_unexplained`."""
    async with unit_of_work(site.engine) as connection:
        return await unexplained(connection, datetime.now(UTC) - LOOKED_AT)


@router.post(
    "/api/v1/appeals/{number}/hang-up-reason",
    status_code=204,
    dependencies=[needs(Permission.OWN_DUTY)],
)
async def give_reason(
    site: CurrentSite, visit: CurrentVisit, number: str, reason: Annotated[Reason, Form()]
) -> None:
    """Say why you ended the conversation of this appeal; once."""
    extension = await own_extension(site, visit)
    async with unit_of_work(site.engine) as connection:
        await explain(connection, number, extension, reason)
