"""JSON API of consultants' outbound calls, below /api/v1."""

from typing import Annotated

from fastapi import APIRouter, Form
from pydantic import BaseModel, Field

from callcenter.appeals.contact import service as contact
from callcenter.appeals.contact.service import REASON_LIMIT
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentActor, CurrentSite
from callcenter.telephony.acd.dependencies import CurrentCommands
from callcenter.telephony.outbound import service
from callcenter.telephony.outbound.permissions import OutboundPermission

router = APIRouter(tags=["calls"], dependencies=[requires(OutboundPermission.CALL_OUT)])

Despite = Annotated[
    bool,
    Form(description="call though this person asked not to be called: a senior may, with a reason"),
]
Reason = Annotated[
    str, Form(max_length=REASON_LIMIT, description="why it cannot harm them, for the audit log")
]


class OutboundCallModel(BaseModel):
    """A started call: your own softphone rings first."""

    call: str
    appeal: str = Field(description="number of the appeal that the call is kept on")


@router.post("/api/v1/calls")
async def make_call(
    site: CurrentSite,
    actor: CurrentActor,
    commands: CurrentCommands,
    number: Annotated[str | None, Form(max_length=40)] = None,
    appeal: Annotated[str | None, Form(max_length=20)] = None,
    despite_wish: Despite = False,
    reason: Reason = "",
) -> OutboundCallModel:
    """Call a number about an appeal; without a number its caller, without an appeal a new one."""
    return OutboundCallModel.model_validate(
        await service.start_call(
            site.engine,
            commands,
            actor,
            number=number,
            appeal=appeal,
            despite_wish=despite_wish,
            reason=reason,
        )
    )


@router.post("/api/v1/appeals/{number}/ring-back")
async def ring_back(
    site: CurrentSite,
    actor: CurrentActor,
    commands: CurrentCommands,
    number: str,
    despite_wish: Despite = False,
    reason: Reason = "",
) -> OutboundCallModel:
    """Call the caller of an appeal back."""
    return await make_call(
        site, actor, commands, appeal=number, despite_wish=despite_wish, reason=reason
    )


@router.post("/api/v1/appeals/{number}/no-calls", status_code=204)
async def set_calls_unwanted(
    site: CurrentSite,
    actor: CurrentActor,
    number: str,
    unwanted: Annotated[bool, Form()] = True,
    reason: Annotated[
        str, Form(max_length=REASON_LIMIT, description="how it is known that they may be called")
    ] = "",
) -> None:
    """Mark that the caller wants no calls, or (`unwanted=false`, with a reason) may be called."""
    await contact.set_calls_unwanted(site.engine, actor, number, unwanted=unwanted, reason=reason)
