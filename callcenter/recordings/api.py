"""Hearing a recording: the one way to its audio, for the player of the pages and for the API."""

from collections.abc import Iterator
from typing import Annotated, BinaryIO
from uuid import UUID

from fastapi import APIRouter, Header, Query
from starlette.responses import StreamingResponse

from callcenter.audit.actions import Action
from callcenter.audit.store import record_once
from callcenter.recordings.listening import ONE_LISTENING, Reason, find_audible, given
from callcenter.recordings.opening import NotStored, open_recording
from callcenter.recordings.ranges import read_range
from callcenter.recordings.vault import Vault
from callcenter.storage.engine import unit_of_work
from callcenter.web.access import needs
from callcenter.web.errors import NotFound
from callcenter.web.permissions import Permission
from callcenter.web.site import CurrentSite, CurrentVisit

PIECE = 256 * 1024

router = APIRouter(tags=["recordings"], dependencies=[needs(Permission.LISTEN)])


@router.get(
    "/api/v1/recordings/{recording_id}/audio",
    response_class=StreamingResponse,
    responses={200: {"content": {"audio/flac": {}}}, 206: {"content": {"audio/flac": {}}}},
)
async def audio(
    site: CurrentSite,
    visit: CurrentVisit,
    recording_id: UUID,
    reason: Annotated[Reason, Query()],
    words: Annotated[str, Query(max_length=1000, pattern=r"^[^\x00]*$")] = "",
    range_header: Annotated[str | None, Header(alias="range")] = None,
) -> StreamingResponse:
    """The audio in FLAC: the caller left, the consultant right. One part by range (RFC 9110, 14).

    It is decrypted in memory as it is sent. That you listened, and the reason that you give (for
    `other` in words), is in the audit log before the first byte is. Of another team's only by a
    permission of its own.
    """
    why = given(reason, words)
    await find_audible(site, visit, recording_id)
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
    size = opened.recording.audio_bytes or 0
    part = read_range(range_header, size)
    headers = {
        "accept-ranges": "bytes",
        "content-length": str(len(part)),
        "content-disposition": f'inline; filename="{recording_id}.flac"',
    }
    if len(part) < size:
        headers["content-range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
    return StreamingResponse(
        _pieces(opened.audio, part),
        status_code=206 if len(part) < size else 200,
        media_type="audio/flac",
        headers=headers,
    )


def _pieces(audio: BinaryIO, part: range) -> Iterator[bytes]:
    with audio:
        audio.seek(part.start)
        left = len(part)
        while left and (piece := audio.read(min(left, PIECE))):
            left -= len(piece)
            yield piece
