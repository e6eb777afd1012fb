"""API of dropped calls: the list of undecided ones, and the decision not to call back."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Form
from pydantic import BaseModel, Field

from callcenter.appeals.calls import queries, service
from callcenter.appeals.calls.dropped_calls import NoCallbackReason
from callcenter.appeals.permissions import AppealPermission
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentActor, CurrentSite

router = APIRouter(tags=["appeals"], dependencies=[requires(AppealPermission.EDIT_APPEALS)])


class Decision(BaseModel):
    """Conversation that a fault ended. Calling may be unsafe: another person may answer."""

    appeal: str
    at: datetime
    language: str | None
    urgent: list[str]
    tries: int = Field(description="calls since that did not reach the caller")


@router.get("/api/v1/cut-off-calls")
async def list_cut_off(site: CurrentSite) -> list[Decision]:
    """List calls of the last day that a fault dropped, the urgent first.

    Ring one back by `/api/v1/appeals/{number}/ring-back`, or say why not.
    """
    found = await queries.undecided_drops(site.engine)
    return [Decision.model_validate(each, from_attributes=True) for each in found]


@router.post("/api/v1/appeals/{number}/not-called-back", status_code=204)
async def not_called_back(
    site: CurrentSite, actor: CurrentActor, number: str, reason: Annotated[NoCallbackReason, Form()]
) -> None:
    """Decide that the caller of this dropped call is not called back."""
    await service.decline_callback(site.engine, actor, number, reason)
