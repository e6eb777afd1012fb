"""The written contact on the page of an appeal: taken, given back, done."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form
from starlette.responses import Response

from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.web.record_actions import CurrentRecord
from callcenter.intake import queue
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.form_fields import NO_NUL

PLACE = "written"

router = APIRouter(include_in_schema=False, dependencies=[requires(AppealPermission.EDIT_APPEALS)])


@router.post("/appeals/{number}/written/take")
async def take(record: CurrentRecord, newest: Annotated[UUID | None, Form()] = None) -> Response:
    """Take the contact into the own hand, as far as it was shown."""
    return await record.run(queue.take(*record.scope, newest), place=PLACE)


@router.post("/appeals/{number}/written/give-back")
async def give_back(
    record: CurrentRecord, skill: Annotated[str, Form(max_length=40, pattern=NO_NUL)] = ""
) -> Response:
    """Give the contact back to the queue."""
    call = queue.give_back(record.site.engine, record.actor, record.number, skill)
    return await record.run(call, place=PLACE)


@router.post("/appeals/{number}/written/done")
async def finish(record: CurrentRecord) -> Response:
    """Put the contact out of hand."""
    call = queue.finish(record.site.engine, record.actor, record.number)
    return await record.run(call, place=PLACE)
