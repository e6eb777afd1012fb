"""Why consultants ended conversations, in JSON below /api/v1, and by the page of an appeal."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Form
from pydantic import BaseModel
from starlette.responses import RedirectResponse, Response

from callcenter.appeals.hang_ups import Reason, explain, unexplained
from callcenter.consultants.api import own_extension
from callcenter.storage.engine import unit_of_work
from callcenter.web.access import needs
from callcenter.web.permissions import Permission
from callcenter.web.site import CurrentSite, CurrentVisit

SEE_OTHER = 303
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
    async with unit_of_work(site.engine) as connection:
        waiting = await unexplained(connection, datetime.now(UTC) - LOOKED_AT)
    return [Unexplained.model_validate(each, from_attributes=True) for each in waiting]


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


@router.post(
    "/appeals/{number}/hang-up-reason",
    include_in_schema=False,
    dependencies=[needs(Permission.OWN_DUTY)],
)
async def give_reason_on_the_page(
    site: CurrentSite, visit: CurrentVisit, number: str, reason: Annotated[Reason, Form()]
) -> Response:
    """The same, from the page of the appeal."""
    await give_reason(site, visit, number, reason)
    return RedirectResponse(f"/appeals/{number}", SEE_OTHER)
