"""Calls of consultants in JSON, below /api/v1."""

from typing import Annotated

from fastapi import APIRouter, Form
from pydantic import BaseModel, Field

from callcenter.dialling import asking
from callcenter.web.access import needs
from callcenter.web.permissions import Permission
from callcenter.web.site import CurrentSite, CurrentVisit

router = APIRouter(tags=["calls"], dependencies=[needs(Permission.CALL_OUT)])

Despite = Annotated[bool, Form(description="call though this person asked not to be called")]


class Calling(BaseModel):
    """A call that has begun: your own softphone rings first."""

    call: str
    appeal: str = Field(description="number of the appeal that the call is kept on")


@router.post("/api/v1/calls")
async def make_call(
    site: CurrentSite,
    visit: CurrentVisit,
    number: Annotated[str | None, Form(max_length=40)] = None,
    appeal: Annotated[str | None, Form(max_length=20)] = None,
    despite_wish: Despite = False,
) -> Calling:
    """Call a number about an appeal; without a number its caller, without an appeal a new one."""
    return Calling.model_validate(
        await asking.call(site, visit, number=number, appeal=appeal, despite_wish=despite_wish)
    )


@router.post("/api/v1/appeals/{number}/ring-back")
async def ring_back(
    site: CurrentSite, visit: CurrentVisit, number: str, despite_wish: Despite = False
) -> Calling:
    """Call the caller of an appeal back."""
    return Calling.model_validate(
        await asking.call(site, visit, number=None, appeal=number, despite_wish=despite_wish)
    )


@router.post("/api/v1/appeals/{number}/no-calls", status_code=204)
async def want_no_calls(
    site: CurrentSite, visit: CurrentVisit, number: str, unwanted: Annotated[bool, Form()] = True
) -> None:
    """Note that the caller asked not to be called, or (`unwanted=false`) may be called again."""
    await asking.want_no_calls(site, visit, number, unwanted=unwanted)
