"""Reminders of appeals in JSON, below /api/v1; they are read with the record."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, Field

from callcenter.register import reminders
from callcenter.web.access import needs
from callcenter.web.once import CurrentOnce
from callcenter.web.permissions import Permission
from callcenter.web.site import CurrentSite, CurrentVisit

router = APIRouter(tags=["records"], dependencies=[needs(Permission.EDIT_APPEALS)])


class NewReminder(BaseModel):
    """Of what you want to be reminded, and when."""

    at: AwareDatetime = Field(description="from now on, within two years")
    about: Annotated[str, Field(max_length=reminders.LONGEST, pattern=r"^[^\x00]*$")]


class Made(BaseModel):
    """The reminder that was set."""

    id: UUID


@router.post("/api/v1/appeals/{number}/reminders", status_code=201)
async def remind(
    site: CurrentSite, visit: CurrentVisit, once: CurrentOnce, number: str, new: NewReminder
) -> Made:
    """Be reminded of an appeal: it comes to your list and, if nobody is done with it, alarms."""

    async def deed() -> Made:
        return Made(id=await reminders.remind(site, visit, number, new.at, new.about))

    return await once(Made, deed)


@router.post("/api/v1/appeals/{number}/reminders/{reminder_id}/done", status_code=204)
async def done(site: CurrentSite, visit: CurrentVisit, number: str, reminder_id: UUID) -> None:
    """What it reminded of is done; again is nothing."""
    await reminders.done(site, visit, number, reminder_id)
