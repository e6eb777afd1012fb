"""Opening a recording: the one way to its audio, for whatever plays, gives out or lays it out.

Whoever opens one answers for it: the person may hear it, and the audit log has it first.
"""

import asyncio
from dataclasses import dataclass
from typing import BinaryIO
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.errors import AskedWrongly, WeFailed
from callcenter.recordings import store
from callcenter.recordings.formats import Sealed
from callcenter.recordings.store import RecordingRow
from callcenter.recordings.vault import Vault


class NotStored(AskedWrongly):
    """There is no stored recording with this id."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A recording and its audio: FLAC or Opus, 8000 Hz, the caller left and the consultant right.

    `audio` is decrypted in memory, piece by piece as it is read, and authentic; it can be sought
    in, by one thread at a time, and blocks. Reading raises StoreFails, ObjectMissing and Altered;
    what hands it to a C library (soundfile) loses these and sees an early end: compare the length
    with `recording.duration_ms`.
    """

    recording: RecordingRow
    audio: BinaryIO


async def open_recording(connection: AsyncConnection, vault: Vault, recording_id: UUID) -> Opened:
    """The recording with this id, to be read.

    Raises NotStored, NoKey and WrongKey, ObjectMissing and StoreFails, Altered.
    """
    row = await store.find(connection, recording_id)
    if row is None or row.state != "stored":
        raise NotStored
    name, _ = sealed(row)
    return Opened(row, await asyncio.to_thread(vault.open, name))


def sealed(row: RecordingRow) -> tuple[str, Sealed]:
    """The object of a stored recording, and what it must be. Raises WeFailed: it is not sealed."""
    if (
        row.store_name is None
        or row.sha256 is None
        or row.bytes is None
        or row.audio_sha256 is None
        or row.audio_bytes is None
        or row.sealed_to is None
    ):
        raise WeFailed(f"recording {row.id} is not sealed")
    told = Sealed(row.sha256, row.bytes, row.audio_sha256, row.audio_bytes, row.sealed_to)
    return row.store_name, told
