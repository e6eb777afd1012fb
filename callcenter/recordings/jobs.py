"""Keeping recordings: what a worker does between the closed file and the store."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from procrastinate import JobContext, RetryStrategy
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.errors import WeFailed
from callcenter.recordings import flac, store
from callcenter.recordings.store import KEEP, RecordingRow
from callcenter.storage.engine import unit_of_work
from callcenter.storage.jobs import Tools, enqueue, jobs, tools_of, unfinished

log = logging.getLogger(__name__)

# 2, 4, 8 ... 256 seconds; after that the search of every minute begins again.
BACK_OFF = RetryStrategy(max_attempts=8, exponential_wait=2)
# A closed recording is kept within seconds; one that waits longer without a job has lost it.
OVERDUE = timedelta(minutes=1)


class Altered(WeFailed):
    """The stored recording is not what was stored; the raw file is left where it is."""


async def keep(tools: Tools, recording_id: UUID) -> None:
    """Bring a closed recording into the store, then remove the raw file.

    May be repeated and killed at any moment. A file that is missing, empty or partial makes the
    recording `failed`, and is left where it is. Raises WeFailed, or OSError (the disk is full),
    when it is worth another attempt.
    """
    row = await _read(tools, recording_id)
    if row.state == "recording":
        raise WeFailed(f"recording {recording_id} is not closed yet")
    if row.state == "closed":
        await _store(tools, row)
        row = await _read(tools, recording_id)
    if row.state == "stored":
        await asyncio.to_thread(_remove_raw, _raw(tools, row), _target(tools, row), row.sha256)


async def look_for_lost(connection: AsyncConnection, now: datetime) -> None:
    """Enqueue the job of every recording that was closed a minute ago or more and has none."""
    waiting = await unfinished(connection, KEEP, "recording_id")
    for recording_id in await store.closed_before(connection, now - OVERDUE):
        if str(recording_id) not in waiting:
            log.warning("recording %s had lost its job", recording_id)
            await enqueue(connection, KEEP, recording_id=str(recording_id))


@jobs.task(name=KEEP, pass_context=True, retry=BACK_OFF)
async def keep_job(context: JobContext, recording_id: str) -> None:
    """`keep` as a job."""
    await keep(tools_of(context), UUID(recording_id))


@jobs.periodic(cron="* * * * *")
@jobs.task(
    name="recordings.look_for_lost", pass_context=True, queueing_lock="recordings.look_for_lost"
)
async def look_for_lost_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """`look_for_lost`, every minute."""
    async with unit_of_work(tools_of(context).engine) as connection:
        await look_for_lost(connection, datetime.now(UTC))


async def _read(tools: Tools, recording_id: UUID) -> RecordingRow:
    async with unit_of_work(tools.engine) as connection:
        row = await store.find(connection, recording_id)
    if row is None:
        raise WeFailed(f"there is no recording {recording_id}")
    return row


async def _store(tools: Tools, row: RecordingRow) -> None:
    try:
        kept = await asyncio.to_thread(flac.keep, _raw(tools, row), _target(tools, row))
    except flac.Unfit as exc:
        log.error("recording %s failed: %s", row.id, exc)
        # When another worker has stored it and removed the raw file, this changes nothing.
        async with unit_of_work(tools.engine) as connection:
            await store.mark_failed(connection, recording_id=row.id, fault=str(exc))
        return
    async with unit_of_work(tools.engine) as connection:
        await store.mark_stored(
            connection,
            recording_id=row.id,
            store_name=_store_name(row),
            sha256=kept.sha256,
            size=kept.bytes,
            duration_ms=kept.duration_ms,
        )


def _remove_raw(raw: Path, target: Path, sha256: str | None) -> None:
    if raw.exists():
        if flac.sha256_of(target) != sha256:
            raise Altered
        raw.unlink(missing_ok=True)


def _raw(tools: Tools, row: RecordingRow) -> Path:
    return tools.settings.spool / row.spool_name


def _target(tools: Tools, row: RecordingRow) -> Path:
    return tools.settings.recordings / _store_name(row)


def _store_name(row: RecordingRow) -> str:
    return f"{row.started_at.astimezone(UTC):%Y/%m/%d}/{row.id}.flac"
