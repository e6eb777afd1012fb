"""Follow-up calls on the page of an appeal: offered, booked, and what came of them."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form
from starlette.responses import Response

from callcenter.appeals.followup import follow_up_calls
from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.rules.follow_up_calls import ATTEMPTS_LIMIT, FollowUpResult
from callcenter.appeals.web.record_actions import CurrentRecord
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.web.authorization import requires

PLACE = "follow-up"  #: anchor of the section

router = APIRouter(include_in_schema=False, dependencies=[requires(AppealPermission.EDIT_APPEALS)])


@router.post("/appeals/{number}/follow-ups")
async def book(record: CurrentRecord, at: Annotated[datetime, Form()]) -> Response:
    """Book another call; the time is that of Almaty."""
    moment = at.replace(tzinfo=at.tzinfo or ZONE)
    call = follow_up_calls.book(record.site.engine, record.actor, record.number, moment)
    return await record.run(call, place=PLACE)


@router.post("/appeals/{number}/follow-ups/declined")
async def decline(record: CurrentRecord) -> Response:
    """Note that another call was offered, and is not wanted."""
    call = follow_up_calls.decline(record.site.engine, record.actor, record.number)
    return await record.run(call, place=PLACE)


@router.post("/appeals/{number}/follow-ups/{follow_up_id}")
async def note_result(
    record: CurrentRecord,
    follow_up_id: UUID,
    result: Annotated[FollowUpResult, Form()],
    before: Annotated[int, Form(ge=0, le=ATTEMPTS_LIMIT)],
) -> Response:
    """Note what an attempt came to, after those `before` it that the page showed."""
    call = follow_up_calls.note_result(
        record.site.engine, record.actor, record.number, follow_up_id, result, before=before
    )
    return await record.run(call, place=PLACE)
