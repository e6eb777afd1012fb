"""The register in JSON, below /api/v1."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from callcenter.appeals.reading import PAGE, newest, view
from callcenter.appeals.store import AppealRow
from callcenter.appeals.wording import shown_number
from callcenter.recordings.store import RecordingRow
from callcenter.web.access import needs
from callcenter.web.permissions import Permission
from callcenter.web.site import CurrentSite, CurrentVisit, Visit

router = APIRouter(tags=["appeals"], dependencies=[needs(Permission.VIEW_APPEALS)])


class Caller(BaseModel):
    """Who called. The number is masked unless your role may see it whole."""

    kind: Literal["number", "short", "withheld", "unreadable"]
    number: str | None = Field(description="E.164 or a short number; +7 701 *** ** 67 if masked")


class Consultant(BaseModel):
    """Who talked with the caller last."""

    extension: str
    name: str


class Appeal(BaseModel):
    """An appeal in a list. Times are in RFC 3339 with an offset."""

    number: str = Field(description="ten digits, the last one checks the others")
    channel: str
    language: Literal["kk", "ru"] | None
    caller: Caller
    consultant: Consultant | None
    received_at: datetime
    ended_at: datetime | None
    outcome: str | None = Field(description="none while the call lasts")
    urgent: list[Literal["silent", "danger"]] = Field(
        description="why the call went before others, as the caller told by key: cannot speak, "
        "in danger; empty if it did not"
    )


class Page(BaseModel):
    """A page of appeals, the newest first."""

    appeals: list[Appeal]
    next: str | None = Field(description="give it as `cursor` for the next page; none at the end")


class Event(BaseModel):
    """A moment of the appeal."""

    at: datetime
    kind: str
    detail: dict[str, Any]


class Recording(BaseModel):
    """A recording of a conversation."""

    id: UUID
    state: Literal["recording", "closed", "stored", "failed"]
    started_at: datetime
    ended_at: datetime | None
    duration_ms: int | None
    sha256: str | None
    audio: str | None = Field(description="where to hear it, if it is stored and you may")


class WholeAppeal(Appeal):
    """One appeal with its moments and recordings."""

    events: list[Event]
    recordings: list[Recording]
    calls_unwanted: bool = Field(description="the caller asked not to be called")


@router.get("/api/v1/appeals")
async def list_appeals(
    site: CurrentSite,
    visit: CurrentVisit,
    cursor: Annotated[str | None, Query(max_length=40)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = PAGE,
) -> Page:
    """Appeals, the newest first."""
    rows, following = await newest(site.engine, cursor, limit)
    return Page(appeals=[Appeal(**_fields(row, visit)) for row in rows], next=following)


@router.get("/api/v1/appeals/{number}")
async def read_appeal(site: CurrentSite, visit: CurrentVisit, number: str) -> WholeAppeal:
    """One appeal with its moments and recordings; that you saw it is in the audit log."""
    viewed = await view(site.engine, visit, number, by="api")
    return WholeAppeal(
        **_fields(viewed.row, visit),
        events=[
            Event(at=event.at, kind=event.kind, detail=event.detail) for event in viewed.events
        ],
        recordings=[
            _recording(recording, audible=recording.id in viewed.audible)
            for recording in viewed.recordings
        ],
        calls_unwanted=viewed.calls_unwanted,
    )


def _fields(row: AppealRow, visit: Visit) -> dict[str, Any]:
    whole = visit.may(Permission.SEE_CALLER_NUMBER)
    talked = row.consultant_extension is not None
    return {
        "number": row.number,
        "channel": row.channel,
        "language": row.language,
        "caller": {"kind": row.caller_kind, "number": shown_number(row, whole=whole)},
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
