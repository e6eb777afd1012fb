"""Files of appeals in JSON, below /api/v1."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.responses import Response

from callcenter.register import attachments
from callcenter.register.attachments import Attachment
from callcenter.register.attachments_pages import LARGEST_FORM, Sent, as_file, received
from callcenter.register.handling import found
from callcenter.register.private import Keys
from callcenter.storage.engine import unit_of_work
from callcenter.web.access import needs
from callcenter.web.permissions import Permission
from callcenter.web.site import CurrentSite, CurrentVisit

router = APIRouter(tags=["attachments"], dependencies=[needs(Permission.SEE_SENSITIVE)])


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
        row = await found(connection, number)
        rows = await attachments.of_appeal(connection, Keys.read(site.settings), row.id)
    return [_file(each) for each in rows]


@router.post("/api/v1/appeals/{number}/attachments", max_body_size=LARGEST_FORM)
async def attach_file(
    site: CurrentSite, visit: CurrentVisit, number: str, file: Sent = None
) -> File:
    """Attach a file (multipart/form-data); the one that is there, if it was sent before."""
    return _file(await attachments.add(site, visit, number, *await received(file)))


@router.get("/api/v1/appeals/{number}/attachments/{attachment_id}", response_class=Response)
async def read_file(
    site: CurrentSite, visit: CurrentVisit, number: str, attachment_id: UUID
) -> Response:
    """The file; that you opened it is in the audit log. 404 while it is not kept."""
    return as_file(*await attachments.read(site, visit, number, attachment_id))


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
