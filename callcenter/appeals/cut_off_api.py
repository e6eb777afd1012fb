"""Callers whom a fault cut off, in JSON below /api/v1, and the decision not to call one back."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Form
from pydantic import BaseModel, Field
from starlette.responses import RedirectResponse, Response

from callcenter.appeals.cut_off import CutOff, Reason, leave_uncalled, waiting
from callcenter.storage.engine import unit_of_work
from callcenter.web.access import needs
from callcenter.web.permissions import Permission
from callcenter.web.site import CurrentSite, CurrentVisit, Site

SEE_OTHER = 303

router = APIRouter(tags=["appeals"], dependencies=[needs(Permission.EDIT_APPEALS)])


class Decision(BaseModel):
    """A conversation that a fault ended. Calling may be unsafe: whoever answers may be another."""

    appeal: str
    at: datetime
    language: str | None
    urgent: list[str]
    tries: int = Field(description="calls since that did not reach the caller")


@router.get("/api/v1/cut-off-calls")
async def list_cut_off(site: CurrentSite) -> list[Decision]:
    """Callers of the last day whom a fault cut off from a consultant, the urgent first.

    Ring one back by `/api/v1/appeals/{number}/ring-back`, or say why not.
    """
    found = await _waiting(site)
    return [Decision.model_validate(each, from_attributes=True) for each in found]


async def _waiting(site: Site) -> Sequence[CutOff]:
    async with unit_of_work(site.engine) as connection:
        return await waiting(connection, datetime.now(UTC))


@router.post("/api/v1/appeals/{number}/not-called-back", status_code=204)
async def not_called_back(
    site: CurrentSite, visit: CurrentVisit, number: str, reason: Annotated[Reason, Form()]
) -> None:
    """Decide that the caller of this appeal, who was cut off, is not called back."""
    async with unit_of_work(site.engine) as connection:
        await leave_uncalled(connection, number, by=visit.who, reason=reason)


@router.post("/appeals/{number}/not-called-back", include_in_schema=False)
async def decide(
    site: CurrentSite, visit: CurrentVisit, number: str, reason: Annotated[Reason, Form()]
) -> Response:
    """As `not_called_back`, from the page of the appeal."""
    await not_called_back(site, visit, number, reason)
    return RedirectResponse(f"/appeals/{number}", SEE_OTHER)
