"""Oral contacts on the page of an appeal: noting one."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Form
from pydantic import BaseModel, Field
from starlette.responses import Response

from callcenter.appeals.followup import oral_contacts
from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.rules.letters import LetterParty
from callcenter.appeals.rules.oral_contacts import OralContact
from callcenter.appeals.web.record_actions import CurrentRecord
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.form_fields import NO_NUL

router = APIRouter(include_in_schema=False, dependencies=[requires(AppealPermission.EDIT_APPEALS)])


class OralContactForm(BaseModel):
    """An oral contact as the form has it; the time is that of Almaty."""

    party: LetterParty
    at: datetime
    whom: Annotated[str, Field(max_length=300, pattern=NO_NUL)]
    post: Annotated[str, Field(max_length=300, pattern=NO_NUL)] = ""
    said: Annotated[str, Field(max_length=2000, pattern=NO_NUL)]


@router.post("/appeals/{number}/oral-contacts")
async def note(record: CurrentRecord, form: Annotated[OralContactForm, Form()]) -> Response:
    """Note an oral contact, and go to it."""
    at = form.at.replace(tzinfo=form.at.tzinfo or ZONE)
    contact = OralContact(form.party, at, form.whom, form.post, form.said)
    return await record.run(oral_contacts.note(*record.scope, contact), place="oral")
