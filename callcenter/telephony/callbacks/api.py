"""JSON API of callbacks and voicemail, below /api/v1."""

from datetime import UTC, datetime
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field

from callcenter.consultants.permissions import ConsultantPermission
from callcenter.platform.core.caller_id import mask
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentActor, CurrentSite
from callcenter.telephony.callbacks import queries, service
from callcenter.telephony.callbacks.rules import CallbackKind, CallbackState

router = APIRouter(tags=["promises"], dependencies=[requires(ConsultantPermission.SUPERVISE)])


class CallbackModel(BaseModel):
    """A requested callback, or a voicemail that nobody has heard."""

    id: UUID = Field(description="of a message: that of its recording")
    kind: CallbackKind
    appeal: str = Field(description="number of the appeal")
    number: str | None = Field(description="masked; none: the caller withheld it")
    language: str
    urgent: bool
    arrived_at: datetime = Field(description="the place in the queue that it keeps")
    promised_at: datetime
    attempts: int
    due_at: datetime = Field(description="of the next attempt")
    is_overdue: bool
    state: CallbackState


@router.post("/api/v1/promises/{promise_id}/close", status_code=204)
async def close_promise(site: CurrentSite, actor: CurrentActor, promise_id: UUID) -> None:
    """Close a callback or voicemail; a call in progress continues."""
    await service.close(site.engine, actor, promise_id)


@router.get("/api/v1/promises")
async def list_promises(site: CurrentSite) -> list[CallbackModel]:
    """The open callbacks and voicemail, the longest waiting first."""
    async with unit_of_work(site.engine) as connection:
        callbacks = await queries.list_open(connection)
    now = datetime.now(UTC)
    return [
        CallbackModel(
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
            state=CallbackState(each.state),
        )
        for each in callbacks
    ]
