"""JSON API of appeals below /api/v1."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Form, Query
from pydantic import BaseModel, Field

from callcenter.appeals.calls import queries, service
from callcenter.appeals.calls.dropped_calls import NoCallbackReason
from callcenter.appeals.calls.labels import shown_number
from callcenter.appeals.calls.queries import PAGE
from callcenter.appeals.calls.service import REASON_LIMIT
from callcenter.appeals.calls.store import AppealRow
from callcenter.appeals.permissions import AppealPermission
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentActor, CurrentSite
from callcenter.recordings.store import RecordingRow

router = APIRouter(tags=["appeals"], dependencies=[requires(AppealPermission.VIEW_APPEALS)])
editing = APIRouter(tags=["appeals"], dependencies=[requires(AppealPermission.EDIT_APPEALS)])
showing = APIRouter(tags=["appeals"], dependencies=[requires(AppealPermission.SEE_CALLER_NUMBER)])


class Caller(BaseModel):
    """The caller, with the number masked; `/caller-number` shows it whole, for a reason."""

    kind: Literal["number", "short", "withheld", "unreadable"]
    number: str | None = Field(description="as +7 701 *** ** 67, or a short number")


class ConsultantModel(BaseModel):
    """The consultant that talked with the caller last."""

    extension: str
    name: str


class Appeal(BaseModel):
    """Appeal in a list. Times are in RFC 3339 with an offset."""

    number: str = Field(description="ten or eleven digits, the last one checks the others")
    channel: str
    language: Literal["kk", "ru"] | None
    caller: Caller
    consultant: ConsultantModel | None
    received_at: datetime
    ended_at: datetime | None
    outcome: str | None = Field(description="none while the call lasts")
    urgent: list[Literal["silent", "danger"]] = Field(
        description="why the call went before others, as the caller told by key: cannot speak, "
        "in danger; empty if it did not"
    )


class Page(BaseModel):
    """Page of appeals, the newest first."""

    appeals: list[Appeal]
    next: str | None = Field(description="give it as `cursor` for the next page; none at the end")


class Event(BaseModel):
    """Event of an appeal."""

    at: datetime
    kind: str
    detail: dict[str, Any]


class Recording(BaseModel):
    """Recording of a conversation."""

    id: UUID
    state: Literal["recording", "closed", "stored", "failed", "empty", "erased"]
    started_at: datetime
    ended_at: datetime | None
    duration_ms: int | None
    sha256: str | None
    audio: str | None = Field(description="where to hear it, if it is stored and you may")


class WholeAppeal(Appeal):
    """Appeal with its events and recordings."""

    events: list[Event]
    recordings: list[Recording]
    calls_unwanted: bool = Field(description="the caller asked not to be called")


@router.get("/api/v1/appeals")
async def list_appeals(
    site: CurrentSite,
    cursor: Annotated[str | None, Query(max_length=40)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = PAGE,
) -> Page:
    """List appeals, the newest first."""
    rows, following = await queries.newest(site.engine, cursor, limit)
    return Page(appeals=[Appeal(**_fields(row)) for row in rows], next=following)


@router.get("/api/v1/appeals/{number}")
async def read_appeal(site: CurrentSite, actor: CurrentActor, number: str) -> WholeAppeal:
    """Read an appeal with its events and recordings; the audit log says who read it."""
    viewed = await queries.view(site.engine, actor, number, by="api")
    return WholeAppeal(
        **_fields(viewed.row),
        events=[
            Event(at=event.at, kind=event.kind, detail=event.detail) for event in viewed.events
        ],
        recordings=[
            _recording(recording, audible=recording.id in viewed.audible)
            for recording in viewed.recordings
        ],
        calls_unwanted=viewed.calls_unwanted,
    )


class CallerNumber(BaseModel):
    """The number of a caller."""

    number: str = Field(description="E.164 or a short number")


@showing.post("/api/v1/appeals/{number}/caller-number")
async def show_number(
    site: CurrentSite,
    actor: CurrentActor,
    number: str,
    reason: Annotated[str, Form(max_length=REASON_LIMIT, description="why it must be seen")],
) -> CallerNumber:
    """Show the number of the caller whole; the reason is in the audit log."""
    return CallerNumber(number=await service.show_number(site.engine, actor, number, reason))


class Decision(BaseModel):
    """Conversation that a fault ended. Calling may be unsafe: another person may answer."""

    appeal: str
    at: datetime
    language: str | None
    urgent: list[str]
    tries: int = Field(description="calls since that did not reach the caller")


@editing.get("/api/v1/cut-off-calls")
async def list_cut_off(site: CurrentSite) -> list[Decision]:
    """List calls of the last day that a fault dropped, the urgent first.

    Ring one back by `/api/v1/appeals/{number}/ring-back`, or say why not.
    """
    found = await queries.undecided_drops(site.engine)
    return [Decision.model_validate(each, from_attributes=True) for each in found]


@editing.post("/api/v1/appeals/{number}/not-called-back", status_code=204)
async def not_called_back(
    site: CurrentSite, actor: CurrentActor, number: str, reason: Annotated[NoCallbackReason, Form()]
) -> None:
    """Decide that the caller of this dropped call is not called back."""
    await service.decline_callback(site.engine, actor, number, reason)


def _fields(row: AppealRow) -> dict[str, Any]:
    talked = row.consultant_extension is not None
    return {
        "number": row.number,
        "channel": row.channel,
        "language": row.language,
        "caller": {"kind": row.caller_kind, "number": shown_number(row)},
        "consultant": {"extension": row.consultant_extension, "name": row.consultant_name}
        if talked
        else None,
        "received_at": row.received_at,
        "ended_at": row.ended_at,
        "outcome": row.outcome,
        "urgent": row.urgent,
    }


def _recording(row: RecordingRow, *, audible: bool) -> Recording:
    return Recording(
        id=row.id,
        state=row.state,
        started_at=row.started_at,
        ended_at=row.ended_at,
        duration_ms=row.duration_ms,
        sha256=row.sha256,
        audio=f"/api/v1/recordings/{row.id}/audio" if audible else None,
    )
