"""Hearing a recording: the one way to its audio, for the player of the pages and for the API."""

from collections.abc import Iterator
from typing import Annotated, BinaryIO
from uuid import UUID

from fastapi import APIRouter, Header, Query
from starlette.responses import StreamingResponse

from callcenter.audit.actions import Action
from callcenter.audit.store import record_once
from callcenter.recordings.formats import Format
from callcenter.recordings.listening import ONE_LISTENING, Reason, find_audible, given
from callcenter.recordings.opening import NotStored, Opened, open_recording
from callcenter.recordings.ranges import read_range
from callcenter.recordings.vault import Vault
from callcenter.storage.engine import unit_of_work
from callcenter.web.access import needs
from callcenter.web.errors import NotFound
from callcenter.web.permissions import Permission
from callcenter.web.site import CurrentSite, CurrentVisit, Site, Visit

PIECE = 256 * 1024
CONTENT: dict[str, object] = {each.media_type: {} for each in Format}

router = APIRouter(tags=["recordings"], dependencies=[needs(Permission.LISTEN)])


@router.get(
    "/api/v1/recordings/{recording_id}/audio",
    response_class=StreamingResponse,
    responses={status: {"content": CONTENT} for status in (200, 206)},
)
async def audio(
    site: CurrentSite,
    visit: CurrentVisit,
    recording_id: UUID,
    reason: Annotated[Reason, Query()],
    words: Annotated[str, Query(max_length=1000, pattern=r"^[^\x00]*$")] = "",
    range_header: Annotated[str | None, Header(alias="range")] = None,
) -> StreamingResponse:
    """The audio in FLAC or Opus: the caller left, the consultant right.

    One part by range (RFC 9110, 14). It is decrypted in memory as it is sent. That you listened,
    and the reason that you give (for `other` in words), is in the audit log before the first byte
    is. Of whom one may hear recordings is a rule of its own: oneself, the own team, or all.
    """
    why = given(reason, words)
    await find_audible(site, visit, recording_id)
    opened = await _open(site, visit, recording_id, why)
    size = opened.recording.audio_bytes or 0
    part = read_range(range_header, size)
    kept_in = opened.recording.audio_format
    headers = {
        "accept-ranges": "bytes",
        "content-length": str(len(part)),
        "content-disposition": f'inline; filename="{recording_id}.{kept_in}"',
    }
    if len(part) < size:
        headers["content-range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
    return StreamingResponse(
        _pieces(opened.audio, part),
        status_code=206 if len(part) < size else 200,
        media_type=kept_in.media_type,
        headers=headers,
    )


async def _open(site: Site, visit: Visit, recording_id: UUID, why: dict[str, str]) -> Opened:
    """The recording, opened, with the entry that it was listened to. Raises NotFound."""
    async with unit_of_work(site.engine) as connection:
        try:
            opened = await open_recording(connection, Vault(site.settings), recording_id)
        except NotStored as exc:
            raise NotFound("there is no stored recording with this id") from exc
        await record_once(
            connection,
            within=ONE_LISTENING,
            who=visit.who,
            action=Action.RECORDING_LISTENED,
            subject=f"recording:{recording_id}",
            detail={"appeal": str(opened.recording.appeal_id)} | why,
            from_address=visit.address,
        )
    return opened


def _pieces(audio: BinaryIO, part: range) -> Iterator[bytes]:
    with audio:
        audio.seek(part.start)
        left = len(part)
        while left and (piece := audio.read(min(left, PIECE))):
            left -= len(piece)
            yield piece
