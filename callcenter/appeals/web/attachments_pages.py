"""Upload and download of attachments on the page of a record."""

from typing import Annotated
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, UploadFile
from fastapi import File as FormFile
from starlette.responses import Response

from callcenter.appeals.followup import attachments
from callcenter.appeals.followup.attachments import EMPTY
from callcenter.appeals.followup.attachments_store import Attachment
from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.rules.filetypes import TYPES
from callcenter.appeals.web.record_actions import CurrentRecord, RecordAction
from callcenter.appeals.web.record_keys import record_keys
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentActor, CurrentSite

#: A form with the largest file that a setting allows, in bytes; the setting is judged afterwards.
FORM_SIZE_LIMIT = 51 * 1024**2

Sent = Annotated[UploadFile | str | None, FormFile()]

router = APIRouter(include_in_schema=False, dependencies=[requires(AppealPermission.SEE_SENSITIVE)])


@router.post("/appeals/{number}/attachments", max_body_size=FORM_SIZE_LIMIT)
async def attach(record: CurrentRecord, file: Sent = None) -> Response:
    """Attach a file; the page of the record says why it is refused."""
    return await record.run(_add(record, file), place="files")


@router.get("/appeals/{number}/attachments/{attachment_id}")
async def download(
    site: CurrentSite, actor: CurrentActor, number: str, attachment_id: UUID
) -> Response:
    """Download a file; it is never rendered within our pages."""
    return file_response(
        *await attachments.read(
            site.engine, record_keys(site), site.settings, actor, number, attachment_id
        )
    )


async def _add(record: RecordAction, file: UploadFile | str | None) -> None:
    site, name_and_content = record.site, await read_upload(file)
    keys = record_keys(site)
    await attachments.add(
        site.engine, keys, site.settings, record.actor, record.number, *name_and_content
    )


async def read_upload(file: UploadFile | str | None) -> tuple[str, bytes]:
    """The name and the bytes of an upload. Raises InvalidRequest when there is no file."""
    if file is None or isinstance(file, str):
        raise InvalidRequest(EMPTY)
    return file.filename or "", await file.read()


def file_response(attachment: Attachment, content: bytes) -> Response:
    """A download under the file's name, which a browser does not open by itself."""
    plain = f"file.{attachment.type}"  # for what does not know RFC 8187
    named = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(attachment.name, safe='')}"
    headers = {"Content-Disposition": named, "Content-Security-Policy": "sandbox"}
    return Response(content, media_type=TYPES[attachment.type], headers=headers)
