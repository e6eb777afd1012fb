"""Recordings in PostgreSQL: from the first moment of a file to its place in the store."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.recordings.tables import recording
from callcenter.storage.jobs import enqueue

KEEP = "recordings.keep"


@dataclass(frozen=True, slots=True)
class RecordingRow:
    """A recording. `state` is recording, closed, stored or failed.

    Once stored: `store_name` is its path below Settings.recordings, `sha256` (hexadecimal) and
    `bytes` are of that file, `duration_ms` is the length of the audio. Once failed: `fault`.
    """

    id: UUID
    appeal_id: UUID
    consultant_id: UUID | None
    spool_name: str
    state: str
    started_at: datetime
    ended_at: datetime | None
    store_name: str | None
    sha256: str | None
    bytes: int | None
    duration_ms: int | None
    fault: str | None


def _query() -> Select[Any]:
    """Columns in the order of RecordingRow."""
    return select(*(recording.c[name] for name in RecordingRow.__slots__))


async def begin(
    connection: AsyncConnection,
    *,
    recording_id: UUID,
    appeal_id: UUID,
    consultant_id: UUID | None,
    spool_name: str,
    started_at: datetime,
) -> None:
    """Note that the switch records to `spool_name` (a plain name in Settings.spool). Repeatable."""
    await connection.execute(
        insert(recording).on_conflict_do_nothing(index_elements=["id"]),
        {
            "id": recording_id,
            "appeal_id": appeal_id,
            "consultant_id": consultant_id,
            "spool_name": spool_name,
            "state": "recording",
            "started_at": started_at,
        },
    )


async def close(connection: AsyncConnection, *, recording_id: UUID, ended_at: datetime) -> None:
    """Note that the switch has closed the file, and have it kept by a worker. Repeatable.

    The job is enqueued in the same transaction: both happen or none does.
    """
    result = await connection.execute(
        update(recording)
        .where(recording.c.id == recording_id, recording.c.state == "recording")
        .values(state="closed", ended_at=ended_at)
    )
    if result.rowcount == 1:
        await enqueue(connection, KEEP, recording_id=str(recording_id))


async def of_appeal(connection: AsyncConnection, appeal_id: UUID) -> list[RecordingRow]:
    """Recordings of an appeal, in the order of their start."""
    query = _query().where(recording.c.appeal_id == appeal_id).order_by(recording.c.started_at)
    return [RecordingRow(*row) for row in await connection.execute(query)]


async def find(connection: AsyncConnection, recording_id: UUID) -> RecordingRow | None:
    """The recording with this id."""
    row = (await connection.execute(_query().where(recording.c.id == recording_id))).one_or_none()
    return None if row is None else RecordingRow(*row)
