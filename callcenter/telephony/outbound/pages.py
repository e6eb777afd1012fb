"""Actions on the page of an appeal: call its caller back, or mark calls as unwanted."""

from collections.abc import Awaitable
from typing import Annotated

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import Response

from callcenter.appeals.contact import service as contact
from callcenter.appeals.contact.service import NO_REASON, REASON_LIMIT
from callcenter.appeals.web.appeal_view import appeal_page
from callcenter.appeals.web.record_actions import CurrentRecord
from callcenter.platform.core.errors import N_, Forbidden, InvalidRequest, NotFound
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentActor, CurrentSite
from callcenter.platform.web.form_fields import NO_NUL
from callcenter.platform.web.page_actions import action
from callcenter.telephony.acd.dependencies import CurrentCommands
from callcenter.telephony.acd.rules.call_commands import Answer
from callcenter.telephony.outbound import service
from callcenter.telephony.outbound.permissions import OutboundPermission
from callcenter.telephony.outbound.ways import OUTBOUND

NOT_MADE = N_(
    "There is no call: you must be at work and free, with your telephone connected; and the caller"
    " may not be on the line, nor be called too often within an hour."
)
#: Refusals that say on the page what they said; a controller sends them as they are.
_WISHES = (OUTBOUND.unwanted, OUTBOUND.untimely, NO_REASON)

router = APIRouter(include_in_schema=False, dependencies=[requires(OutboundPermission.CALL_OUT)])


@router.post("/appeals/{number}/ring-back")
async def ring_back(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    commands: CurrentCommands,
    number: str,
    despite_wish: Annotated[bool, Form()] = False,
    reason: Annotated[str, Form(max_length=REASON_LIMIT)] = "",
) -> Response:
    """Ring the consultant, then the caller of the appeal; a refusal is shown on its page."""
    return await action(
        service.start_call(
            site.engine,
            commands,
            actor,
            number=None,
            appeal=number,
            despite_wish=despite_wish,
            reason=reason,
        ),
        f"/appeals/{number}",
        lambda why: appeal_page(
            request,
            site,
            actor,
            number,
            problem=str(why) if str(why) in _WISHES else NOT_MADE,
        ),
    )


@router.post("/appeals/{number}/call")
async def call_somebody(
    record: CurrentRecord,
    commands: CurrentCommands,
    person: Annotated[str, Form(max_length=20)] = "",
    other: Annotated[str, Form(max_length=40, pattern=NO_NUL)] = "",
    despite_wish: Annotated[bool, Form()] = False,
    reason: Annotated[str, Form(max_length=REASON_LIMIT)] = "",
) -> Response:
    """Call a person of the record, or a number that is typed, about this appeal."""
    call = service.start_call(
        record.site.engine,
        commands,
        record.actor,
        number=None if person else other,
        appeal=record.number,
        person=person,
        despite_wish=despite_wish,
        reason=reason,
    )
    return await record.run(_explained(call), place="calls")


async def _explained(call: Awaitable[Answer]) -> Answer:
    """Await a call; a refusal says what to do, whatever refused it."""
    try:
        return await call
    except (NotFound, Forbidden):
        raise
    except InvalidRequest as why:
        raise InvalidRequest(str(why) if str(why) in _WISHES else NOT_MADE) from why


@router.post("/appeals/{number}/no-calls")
async def set_calls_unwanted(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    number: str,
    unwanted: Annotated[bool, Form()] = False,
    reason: Annotated[str, Form(max_length=REASON_LIMIT)] = "",
) -> Response:
    """Set the mark that the caller wants no calls, or clear it with a reason."""
    return await action(
        contact.set_calls_unwanted(site.engine, actor, number, unwanted=unwanted, reason=reason),
        f"/appeals/{number}",
        lambda why: appeal_page(request, site, actor, number, problem=str(why)),
    )
