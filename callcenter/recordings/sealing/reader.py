"""Opens recordings: the only access to their audio, for playback, disclosure and export.

The caller of `open_recording` answers for it: the person may hear it, and the audit log has it
first.
"""

import asyncio
from dataclasses import dataclass
from typing import BinaryIO
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.platform.core.errors import InvalidRequest, OperationFailed
from callcenter.recordings import store
from callcenter.recordings.formats import SealedObjectFacts
from callcenter.recordings.sealing.sealed_store import SealedStore
from callcenter.recordings.store import RecordingRow


class NotStored(InvalidRequest):
    """There is no stored recording with this id."""


@dataclass(frozen=True, slots=True)
class OpenRecording:
    """A recording and its audio: FLAC or Opus, 8000 Hz, caller left, consultant right.

    `audio` is decrypted in memory, piece by piece as it is read, and authentic; it can be sought
    in, by one thread at a time, and blocks. Reading raises ObjectStoreUnavailable, ObjectMissing
    and Altered; what hands it to a C library (soundfile) loses these and sees an early end: compare
    the length with `recording.duration_ms`.
    """

    recording: RecordingRow
    audio: BinaryIO


async def open_recording(
    connection: AsyncConnection, sealed_store: SealedStore, recording_id: UUID
) -> OpenRecording:
    """Open the recording with this id for reading.

    Raises NotStored, NoKey and WrongKey, ObjectMissing and ObjectStoreUnavailable, Altered.
    """
    row = await store.find(connection, recording_id)
    if row is None or row.state != "stored":
        raise NotStored
    name, _ = require_sealed(row)
    return OpenRecording(row, await asyncio.to_thread(sealed_store.open, name))


def require_sealed(row: RecordingRow) -> tuple[str, SealedObjectFacts]:
    """The object name of a stored recording, and its sealed facts.

    Raises OperationFailed when it is not sealed.
    """
    if (
        row.store_name is None
        or row.sha256 is None
        or row.bytes is None
        or row.audio_sha256 is None
        or row.audio_bytes is None
        or row.sealed_to is None
    ):
        raise OperationFailed(f"recording {row.id} is not sealed")
    facts = SealedObjectFacts(
        row.sha256, row.bytes, row.audio_sha256, row.audio_bytes, row.sealed_to
    )
    return row.store_name, facts
