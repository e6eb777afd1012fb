"""JSON API of reminders of appeals, below /api/v1; they are read with the record."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, Field

from callcenter.appeals.followup import reminders
from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.web.record_keys import record_keys
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentActor, CurrentSite
from callcenter.platform.web.form_fields import NO_NUL
from callcenter.platform.web.idempotency import CurrentOnce

router = APIRouter(tags=["records"], dependencies=[requires(AppealPermission.EDIT_APPEALS)])


class NewReminder(BaseModel):
    """The text and the time of a reminder."""

    at: AwareDatetime = Field(description="from now on, within two years")
    about: Annotated[str, Field(max_length=reminders.TEXT_LIMIT, pattern=NO_NUL)]


class CreatedReminder(BaseModel):
    """The reminder that was set."""

    id: UUID


@router.post("/api/v1/appeals/{number}/reminders", status_code=201)
async def remind(
    site: CurrentSite, actor: CurrentActor, once: CurrentOnce, number: str, new: NewReminder
) -> CreatedReminder:
    """Set a reminder of an appeal: it is on your list, and raises an alert once it is due."""

    async def call() -> CreatedReminder:
        return CreatedReminder(
            id=await reminders.remind(
                site.engine, record_keys(site), actor, number, new.at, new.about
            )
        )

    return await once(CreatedReminder, call)


@router.post("/api/v1/appeals/{number}/reminders/{reminder_id}/done", status_code=204)
async def done(site: CurrentSite, actor: CurrentActor, number: str, reminder_id: UUID) -> None:
    """Mark a reminder as done; a second time is ignored."""
    await reminders.finish(site.engine, actor, number, reminder_id)
