"""Older messages on the page of an appeal."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.responses import Response

from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.web.record_actions import CurrentRecord
from callcenter.intake import service
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.templating import page

router = APIRouter(include_in_schema=False, dependencies=[requires(AppealPermission.SEE_SENSITIVE)])


@router.get("/appeals/{number}/written")
async def read_older(record: CurrentRecord, after: Annotated[UUID, Query()]) -> Response:
    """A part of the page: messages older than this one; audited."""
    written = await service.read_older(*record.scope, after)
    return page(record.request, "intake/message_items.html", written=written, number=record.number)
