"""Files of an appeal, sent and opened by its record's page."""

from typing import Annotated
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, UploadFile
from fastapi import File as FormFile
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from callcenter.errors import AskedWrongly
from callcenter.register import attachments, reading
from callcenter.register.attachments import EMPTY, Attachment
from callcenter.register.filetypes import TYPES
from callcenter.register.record_page import SEE_OTHER, record_page
from callcenter.web.access import needs
from callcenter.web.errors import NotFound
from callcenter.web.permissions import Permission
from callcenter.web.site import CurrentSite, CurrentVisit

#: A form with the largest file that a setting allows, in bytes; the setting is judged afterwards.
LARGEST_FORM = 51 * 1024**2

Sent = Annotated[UploadFile | str | None, FormFile()]

router = APIRouter(include_in_schema=False, dependencies=[needs(Permission.SEE_SENSITIVE)])


@router.post("/appeals/{number}/attachments", max_body_size=LARGEST_FORM)
async def attach(
    request: Request, site: CurrentSite, visit: CurrentVisit, number: str, file: Sent = None
) -> Response:
    """Attach a file; why it is not taken is said on the page of the record."""
    try:
        await attachments.add(site, visit, number, *await received(file))
    except NotFound:
        raise
    except AskedWrongly as refusal:
        opened = await reading.read(site, visit, number)
        return record_page(request, site, opened, refusal=refusal, place="files")
    return RedirectResponse(f"/appeals/{number}/record#files", SEE_OTHER)


@router.get("/appeals/{number}/attachments/{attachment_id}")
async def download(
    site: CurrentSite, visit: CurrentVisit, number: str, attachment_id: UUID
) -> Response:
    """The file, to be kept or looked at elsewhere: never shown within our pages."""
    return as_file(*await attachments.read(site, visit, number, attachment_id))


async def received(file: UploadFile | str | None) -> tuple[str, bytes]:
    """The name and the bytes that a browser sent. Raises AskedWrongly: it sent no file."""
    if file is None or isinstance(file, str):
        raise AskedWrongly(EMPTY)
    return file.filename or "", await file.read()


def as_file(attachment: Attachment, content: bytes) -> Response:
    """An answer that a browser keeps under the file's name, and does not open by itself."""
    plain = f"file.{attachment.type}"  # for what does not know RFC 8187
    named = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(attachment.name, safe='')}"
    headers = {"Content-Disposition": named, "Content-Security-Policy": "sandbox"}
    return Response(content, media_type=TYPES[attachment.type], headers=headers)
