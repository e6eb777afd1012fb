"""Recordings in PostgreSQL: from the first moment of a file to its place in the store."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.errors import AskedWrongly
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
    """Note that the switch records to `spool_name`, a file name in Settings.spool. Repeatable.

    Raises AskedWrongly when it is not a plain name.
    """
    if Path(spool_name).name != spool_name:
        raise AskedWrongly(f"{spool_name!r} is not a plain file name in the spool")
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


async def mark_stored(
    connection: AsyncConnection,
    *,
    recording_id: UUID,
    store_name: str,
    sha256: str,
    size: int,
    duration_ms: int,
) -> None:
    """Note that a closed recording is in the store, verified. Nothing else changes later."""
    await connection.execute(
        update(recording)
        .where(recording.c.id == recording_id, recording.c.state == "closed")
        .values(
            state="stored",
            store_name=store_name,
            sha256=sha256,
            bytes=size,
            duration_ms=duration_ms,
        )
    )


async def mark_failed(connection: AsyncConnection, *, recording_id: UUID, fault: str) -> None:
    """Note why a closed recording will never be in the store."""
    await connection.execute(
        update(recording)
        .where(recording.c.id == recording_id, recording.c.state == "closed")
        .values(state="failed", fault=fault)
    )


async def closed_before(connection: AsyncConnection, moment: datetime) -> list[UUID]:
    """Recordings that were closed before this moment and are neither stored nor failed."""
    rows = await connection.execute(
        select(recording.c.id).where(recording.c.state == "closed", recording.c.ended_at < moment)
    )
    return list(rows.scalars())


async def of_appeal(connection: AsyncConnection, appeal_id: UUID) -> list[RecordingRow]:
    """Recordings of an appeal, in the order of their start."""
    query = _query().where(recording.c.appeal_id == appeal_id).order_by(recording.c.started_at)
    return [RecordingRow(*row) for row in await connection.execute(query)]


async def find(connection: AsyncConnection, recording_id: UUID) -> RecordingRow | None:
    """The recording with this id."""
    row = (await connection.execute(_query().where(recording.c.id == recording_id))).one_or_none()
    return None if row is None else RecordingRow(*row)
