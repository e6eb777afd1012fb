"""Playback of recordings, audited before anything is heard."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.core.errors import NotFound
from callcenter.platform.identity.actor import Actor, audit_action_once
from callcenter.platform.storage.engine import unit_of_work
from callcenter.recordings.actions import RecordingAction
from callcenter.recordings.playback.access import (
    LISTENING_INTERVAL,
    PlaybackReason,
    audit_detail,
    find_audible,
)
from callcenter.recordings.sealing.reader import NotStored, OpenRecording, open_recording
from callcenter.recordings.sealing.sealed_store import SealedStore


async def open_audible(
    engine: AsyncEngine,
    sealed: SealedStore,
    actor: Actor,
    recording_id: UUID,
    reason: PlaybackReason,
    words: str,
) -> OpenRecording:
    """Open a recording that the actor may hear, for a reason that the audit log has then.

    Raises NotFound, NotPermitted, PlaybackReasonRequired.
    """
    why = audit_detail(reason, words)
    await find_audible(engine, actor, recording_id)
    async with unit_of_work(engine) as connection:
        try:
            opened = await open_recording(connection, sealed, recording_id)
        except NotStored as exc:
            raise NotFound("there is no stored recording with this id") from exc
        await audit_action_once(
            connection,
            actor,
            RecordingAction.RECORDING_LISTENED,
            f"recording:{recording_id}",
            {"appeal": str(opened.recording.appeal_id)} | why,
            within=LISTENING_INTERVAL,
        )
    return opened
