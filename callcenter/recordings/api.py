"""The audio of a recording over HTTP, for the player of the pages and for the API."""

from collections.abc import Iterator
from typing import Annotated, BinaryIO
from uuid import UUID

from fastapi import APIRouter, Header, Query
from starlette.responses import StreamingResponse

from callcenter.platform.web.authorization import requires
from callcenter.platform.web.context import CurrentActor, CurrentSite
from callcenter.platform.web.form_fields import NO_NUL
from callcenter.platform.web.http_ranges import read_range
from callcenter.recordings.formats import Format
from callcenter.recordings.permissions import RecordingPermission
from callcenter.recordings.playback.access import PlaybackReason
from callcenter.recordings.playback.service import open_audible
from callcenter.recordings.sealing.sealed_store import SealedStore

PIECE = 256 * 1024
CONTENT: dict[str, object] = {each.media_type: {} for each in Format}

router = APIRouter(tags=["recordings"], dependencies=[requires(RecordingPermission.LISTEN)])


@router.get(
    "/api/v1/recordings/{recording_id}/audio",
    response_class=StreamingResponse,
    responses={status: {"content": CONTENT} for status in (200, 206)},
)
async def audio(
    site: CurrentSite,
    actor: CurrentActor,
    recording_id: UUID,
    reason: Annotated[PlaybackReason, Query()],
    words: Annotated[str, Query(max_length=1000, pattern=NO_NUL)] = "",
    range_header: Annotated[str | None, Header(alias="range")] = None,
) -> StreamingResponse:
    """The audio in FLAC or Opus: the caller left, the consultant right.

    One part by range (RFC 9110, 14). It is decrypted in memory as it is sent. The playback and its
    reason (for `other` in words) are in the audit log before the first byte is sent. Who may hear
    which recordings: oneself, the own team, or all (`playback.access`).
    """
    sealed = SealedStore(site.settings)
    opened = await open_audible(site.engine, sealed, actor, recording_id, reason, words)
    size = opened.recording.audio_bytes or 0
    part = read_range(range_header, size)
    audio_format = opened.recording.audio_format
    headers = {
        "accept-ranges": "bytes",
        "content-length": str(len(part)),
        "content-disposition": f'inline; filename="{recording_id}.{audio_format}"',
    }
    if len(part) < size:
        headers["content-range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
    return StreamingResponse(
        _pieces(opened.audio, part),
        status_code=206 if len(part) < size else 200,
        media_type=audio_format.media_type,
        headers=headers,
    )


def _pieces(audio: BinaryIO, part: range) -> Iterator[bytes]:
    with audio:
        audio.seek(part.start)
        left = len(part)
        while left and (piece := audio.read(min(left, PIECE))):
            left -= len(piece)
            yield piece
