"""Parts of an appeal's page: its older messages, and the whole telephone of one."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Query
from starlette.responses import Response

from callcenter.appeals.calls.service import REASON_LIMIT
from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.web.record_actions import CurrentRecord
from callcenter.intake import service
from callcenter.platform.core.caller_id import mask
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.page_actions import run_action
from callcenter.platform.web.templating import page

router = APIRouter(include_in_schema=False, dependencies=[requires(AppealPermission.SEE_SENSITIVE)])
showing = APIRouter(
    include_in_schema=False, dependencies=[requires(AppealPermission.SEE_CALLER_NUMBER)]
)


@router.get("/appeals/{number}/written")
async def read_older(record: CurrentRecord, after: Annotated[UUID, Query()]) -> Response:
    """Messages older than this one; audited."""
    written = await service.read_older(*record.scope, after)
    return page(record.request, "intake/message_items.html", written=written, number=record.number)


@showing.post("/appeals/{number}/written/{message_id}/phone")
async def show_phone(
    record: CurrentRecord,
    message_id: UUID,
    reason: Annotated[str, Form(max_length=REASON_LIMIT)],
) -> Response:
    """The telephone of a message, whole; the reason is in the audit log."""

    async def show(phone: str, refusal: InvalidRequest | None = None) -> Response:
        return page(
            record.request,
            "intake/phone.html",
            status=200 if refusal is None else 400,
            number=record.number,
            message_id=message_id,
            phone=phone,
            is_whole=refusal is None,
            fault=None if refusal is None else str(refusal),
        )

    shown = service.show_phone(*record.scope, message_id, reason)
    return await run_action(shown, show, lambda refusal: show(mask(""), refusal))
