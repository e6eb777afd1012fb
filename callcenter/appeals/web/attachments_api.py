"""JSON API of attachments of appeals, below /api/v1."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.responses import Response

from callcenter.appeals.followup import attachments, attachments_store
from callcenter.appeals.followup.attachments_store import Attachment
from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.record.service import get_appeal
from callcenter.appeals.web.attachments_pages import (
    FORM_SIZE_LIMIT,
    Sent,
    file_response,
    read_upload,
)
from callcenter.appeals.web.record_keys import record_keys
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentActor, CurrentSite

router = APIRouter(tags=["attachments"], dependencies=[requires(AppealPermission.SEE_SENSITIVE)])


class File(BaseModel):
    """A file of an appeal. Times are in RFC 3339 with an offset."""

    id: UUID
    name: str = Field(description="as it was sent, without what could do harm; empty once erased")
    type: str = Field(description="by its bytes: pdf, jpg, ...")
    bytes: int
    sha256: str = Field(description="of the file, hexadecimal")
    state: Literal["arriving", "waiting", "kept", "aside", "failed", "erased"] = Field(
        description="it can be opened once it is kept; waiting: for the check for viruses; "
        "aside: a virus is in it, or it cannot be checked"
    )
    checked: bool = Field(description="ClamAV has looked at it")
    why: str | None = Field(description="why it is aside")
    at: datetime


@router.get("/api/v1/appeals/{number}/attachments")
async def list_files(site: CurrentSite, number: str) -> list[File]:
    """The files of an appeal, in the order in which they came."""
    async with unit_of_work(site.engine) as connection:
        row = await get_appeal(connection, number)
        rows = await attachments_store.list_of_appeal(connection, record_keys(site), row.id)
    return [_file(each) for each in rows]


@router.post("/api/v1/appeals/{number}/attachments", max_body_size=FORM_SIZE_LIMIT)
async def attach_file(
    site: CurrentSite, actor: CurrentActor, number: str, file: Sent = None
) -> File:
    """Attach a file (multipart/form-data); the same file sent again is attached once."""
    return _file(
        await attachments.add(
            site.engine, record_keys(site), site.settings, actor, number, *await read_upload(file)
        )
    )


@router.get("/api/v1/appeals/{number}/attachments/{attachment_id}", response_class=Response)
async def read_file(
    site: CurrentSite, actor: CurrentActor, number: str, attachment_id: UUID
) -> Response:
    """Download a file, with an entry in the audit log. 404 unless its state is `kept`."""
    return file_response(
        *await attachments.read(
            site.engine, record_keys(site), site.settings, actor, number, attachment_id
        )
    )


def _file(each: Attachment) -> File:
    return File(
        id=each.id,
        name=each.name,
        type=each.type,
        bytes=each.bytes,
        sha256=each.sha256,
        state=each.state.value,
        checked=each.checked_at is not None,
        why=each.why,
        at=each.at,
    )
