"""Safe contact on the page of a record: what a person said is noted."""

from datetime import UTC, datetime, time
from typing import Annotated, Literal

from fastapi import APIRouter, Form
from pydantic import BaseModel, Field
from starlette.responses import Response

from callcenter.appeals.contact import service
from callcenter.appeals.contact.rules import ContactMeans, make_wish
from callcenter.appeals.contact.service import REASON_LIMIT
from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.web.record_actions import CurrentRecord
from callcenter.platform.web.authorization import requires

router = APIRouter(include_in_schema=False, dependencies=[requires(AppealPermission.SEE_PERSONAL)])


class WishForm(BaseModel):
    """A wish as the form has it; `other` is a number that is typed instead of chosen."""

    person: Annotated[str, Field(max_length=20)] = ""
    number: Annotated[str, Field(max_length=20)] = ""
    other: Annotated[str, Field(max_length=40)] = ""
    channel: ContactMeans | Literal[""] = ""
    allowed: bool
    start: time | Literal[""] = ""
    end: time | Literal[""] = ""
    reason: Annotated[str, Field(max_length=REASON_LIMIT)] = ""


@router.post("/appeals/{number}/contact-wishes")
async def record_wish(record: CurrentRecord, form: Annotated[WishForm, Form()]) -> Response:
    """Note what a person said, and go to it."""
    wish = make_wish(
        form.person,
        form.other.strip() or form.number or None,
        form.channel,
        allowed=form.allowed,
        at=datetime.now(UTC),
        hours=(form.start or None, form.end or None),
    )
    call = service.record_wish(record.site.engine, record.actor, record.number, wish, form.reason)
    return await record.run(call, place="contact")
