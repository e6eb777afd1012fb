"""What is owed to callers, in JSON, below /api/v1."""

from datetime import UTC, datetime
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field

from callcenter.appeals.callers import mask
from callcenter.promises import closing, shown
from callcenter.promises.states import Kind, State
from callcenter.storage.engine import unit_of_work
from callcenter.web.access import needs
from callcenter.web.permissions import Permission
from callcenter.web.site import CurrentSite, CurrentVisit

router = APIRouter(tags=["promises"], dependencies=[needs(Permission.SUPERVISE)])


class Promise(BaseModel):
    """A caller who is to be called back, or whose message is to be heard."""

    id: UUID = Field(description="of a message: that of its recording")
    kind: Kind
    appeal: str = Field(description="number of the appeal")
    number: str | None = Field(description="masked; none: the caller withheld it")
    language: str
    urgent: bool
    arrived_at: datetime = Field(description="the place in the queue that it keeps")
    promised_at: datetime
    attempts: int
    due_at: datetime = Field(description="of the next attempt")
    is_overdue: bool
    state: State


@router.post("/api/v1/promises/{promise_id}/close", status_code=204)
async def close_promise(site: CurrentSite, visit: CurrentVisit, promise_id: UUID) -> None:
    """Have nobody called back; a call that is under way goes on. The audit log says who did it."""
    await closing.close(site.engine, visit, promise_id)


@router.get("/api/v1/promises")
async def list_promises(site: CurrentSite) -> list[Promise]:
    """The open promises, the longest waiting first."""
    async with unit_of_work(site.engine) as connection:
        promises = await shown.open_ones(connection)
    now = datetime.now(UTC)
    return [
        Promise(
            id=each.id,
            kind=each.kind,
            appeal=each.appeal,
            number=mask(each.number) if each.number else None,
            language=each.language,
            urgent=each.urgent,
            arrived_at=each.arrived_at,
            promised_at=each.promised_at,
            attempts=each.attempts,
            due_at=each.due_at,
            is_overdue=each.is_overdue(now),
            state=State(each.state),
        )
        for each in promises
    ]
