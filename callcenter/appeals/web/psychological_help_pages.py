"""Psychological help on the page of an appeal: notes, and booked talks."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form
from starlette.responses import Response

from callcenter.appeals.followup import psychological_help
from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.web.record_actions import CurrentRecord
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.form_fields import NO_NUL
from callcenter.platform.web.templating import page

PLACE = "psychology"  #: anchor of the section

router = APIRouter(include_in_schema=False, dependencies=[requires(AppealPermission.SEE_SENSITIVE)])


@router.get("/appeals/{number}/psychological-notes")
async def open_notes(record: CurrentRecord) -> Response:
    """A part of the page: the notes, which psychologists alone open; audited."""
    notes = await psychological_help.open_notes(*record.scope)
    return page(
        record.request, "appeals/psychological_notes.html", notes=notes, number=record.number
    )


@router.post("/appeals/{number}/psychological-notes")
async def add_note(
    record: CurrentRecord, text: Annotated[str, Form(max_length=20_000, pattern=NO_NUL)]
) -> Response:
    """Add a note."""
    return await record.run(psychological_help.add_note(*record.scope, text), place=PLACE)


@router.post("/appeals/{number}/talks")
async def book(record: CurrentRecord, at: Annotated[datetime, Form()]) -> Response:
    """Book the next talk; the time is that of Almaty."""
    moment = at.replace(tzinfo=at.tzinfo or ZONE)
    call = psychological_help.book(record.site.engine, record.actor, record.number, moment)
    return await record.run(call, place=PLACE)


@router.post("/appeals/{number}/talks/{talk_id}/done")
async def finish(record: CurrentRecord, talk_id: UUID) -> Response:
    """Mark a booked talk as done."""
    call = psychological_help.finish(record.site.engine, record.actor, record.number, talk_id)
    return await record.run(call, place=PLACE)
