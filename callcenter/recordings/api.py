"""Hearing a recording: the one way to its audio, for the player of the pages and for the API."""

from datetime import timedelta
from pathlib import Path
from uuid import UUID

from fastapi import APIRouter
from starlette.responses import FileResponse

from callcenter.audit.actions import Action
from callcenter.audit.store import record_once
from callcenter.errors import WeFailed
from callcenter.recordings import store
from callcenter.storage.engine import unit_of_work
from callcenter.web.access import needs
from callcenter.web.errors import NotFound
from callcenter.web.permissions import Permission
from callcenter.web.site import CurrentSite, CurrentVisit

#: A player asks for one listening in many parts: those within this time are one entry in the
#: audit log. Who goes on listening after it, or comes back, leaves another entry.
ONE_LISTENING = timedelta(minutes=10)

router = APIRouter(tags=["recordings"], dependencies=[needs(Permission.LISTEN)])


@router.get(
    "/api/v1/recordings/{recording_id}/audio",
    response_class=FileResponse,
    responses={200: {"content": {"audio/flac": {}}}, 206: {"content": {"audio/flac": {}}}},
)
async def audio(site: CurrentSite, visit: CurrentVisit, recording_id: UUID) -> FileResponse:
    """The audio in FLAC: the caller left, the consultant right. Parts by range (RFC 9110, 14).

    That you listened is in the audit log before the first byte is sent.
    """
    async with unit_of_work(site.engine) as connection:
        recording = await store.find(connection, recording_id)
        if recording is None or recording.store_name is None:
            raise NotFound("there is no stored recording with this id")
        file = _file(site.settings.recordings, recording.store_name)
        await record_once(
            connection,
            within=ONE_LISTENING,
            who=visit.who,
            action=Action.RECORDING_LISTENED,
            subject=f"recording:{recording.id}",
            detail={"appeal": str(recording.appeal_id)},
            from_address=visit.address,
        )
    return FileResponse(
        file,
        media_type="audio/flac",
        filename=f"{recording.id}.flac",
        content_disposition_type="inline",
    )


def _file(folder: Path, store_name: str) -> Path:
    """The file of a recording. Raises WeFailed when it is not there, or not in the store."""
    file = (folder / store_name).resolve()
    if not file.is_relative_to(folder.resolve()) or not file.is_file():
        raise WeFailed("a recording of the register is not in the store: tell the administrator")
    return file
