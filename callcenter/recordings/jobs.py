"""Jobs of the sealed store: remove erased audio, seal plain files, copy, verify, repair."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from procrastinate import JobContext
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.s3_url import S3Location
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources, jobs, tools_of
from callcenter.platform.storage.objects import ObjectMissing, ObjectStoreUnavailable
from callcenter.recordings import store
from callcenter.recordings.formats import SealedObjectFacts
from callcenter.recordings.sealing import quarantine_store, reader
from callcenter.recordings.sealing.age import Altered
from callcenter.recordings.sealing.keys import NoKey
from callcenter.recordings.sealing.sampling import some_stored
from callcenter.recordings.sealing.sealed_store import SealedStore, name_for
from callcenter.recordings.store import RecordingRow

log = logging.getLogger(__name__)

BATCH = 100
SAMPLE = 1000  # recordings of a night
SHOWN = 20  # in the log

COPIED_AT_ONCE = 10
COPY_LIMIT = 50.0  # seconds of a minute: what was erased is removed in the next

#: Told after each batch: how many were checked so far, and of how many.
Progress = Callable[[int, int], None]


async def remove_erased(tools: WorkerResources) -> None:
    """Remove the audio of erased recordings; the row stays, as the tombstone.

    May be killed anywhere and repeated. Raises DependencyUnavailable, ObjectStoreUnavailable,
    OSError: the next minute goes on where this ended.
    """
    stores = [SealedStore(tools.settings, place) for place in _places(tools.settings)]
    async with unit_of_work(tools.engine) as connection:
        rows = await store.list_to_remove(connection, limit=BATCH)
    for row in rows:
        raw = tools.settings.spool / row.spool_name  # left when a worker was killed
        await asyncio.to_thread(raw.unlink, missing_ok=True)
        for sealed_store in stores:
            await asyncio.to_thread(sealed_store.remove, row.store_name or "")
        async with unit_of_work(tools.engine) as connection:
            await store.mark_removed(connection, row.id)


async def seal_plain(tools: WorkerResources) -> None:
    """Seal recordings stored before sealing existed, and remove the plain files.

    May be killed anywhere and repeated. A file that differs from what was stored stays, with a line
    in the log.
    """
    after: UUID | None = None
    while True:
        async with unit_of_work(tools.engine) as connection:
            row = await store.next_plain(connection, after)
            if row is None:
                return
            try:
                plain = tools.settings.recordings / (row.store_name or "")
                name = name_for(row.id, row.started_at)
                sealed = await asyncio.to_thread(
                    _seal, SealedStore(tools.settings), plain, name, row
                )
                await store.mark_sealed(connection, row.id, name, sealed)
                # Before the commit: killed in between, the sealed one is there to begin again with.
                await asyncio.to_thread(plain.unlink, missing_ok=True)
            except (OperationFailed, OSError) as exc:
                log.critical("sealing failed: recording %s: %s", row.id, exc)
        after = row.id


async def copy_stored(tools: WorkerResources, until: float) -> None:
    """Copy sealed recordings to the second store, if there is one, until then (monotonic).

    May be killed anywhere and repeated. An altered object is not copied, with a line in the log.
    Raises DependencyUnavailable, ObjectStoreUnavailable: the next minute goes on where this ended.
    """
    place = tools.settings.copy_store
    if place is None:
        return
    first, second = SealedStore(tools.settings), SealedStore(tools.settings, place)
    after: tuple[datetime, UUID] | None = None
    while time.monotonic() < until:
        async with unit_of_work(tools.engine) as connection:
            rows = await store.list_to_copy(connection, after, limit=COPIED_AT_ONCE)
        if not rows:
            return
        for row in rows:
            await _copy(tools.engine, first, second, row)
        after = (rows[-1].ended_at or rows[-1].started_at, rows[-1].id)


async def _copy(
    engine: AsyncEngine, source: SealedStore, target: SealedStore, row: RecordingRow
) -> None:
    try:
        await asyncio.to_thread(source.copy_to, target, *reader.require_sealed(row))
    except ObjectStoreUnavailable:
        raise
    except OperationFailed as exc:
        log.critical("copying failed: recording %s: %s", row.id, exc)
        return
    async with unit_of_work(engine) as connection:
        await store.mark_copied(connection, row.id, datetime.now(UTC))


async def repair(engine: AsyncEngine, settings: Settings, recording_id: UUID) -> None:
    """Replace the object that is missing or altered by the good one of the other store.

    Raises OperationFailed when neither is good, or there is no second store.
    """
    if settings.copy_store is None:
        raise OperationFailed(
            "there is no second store to take it from (CALLCENTER_RECORDINGS_COPY)"
        )
    first, second = SealedStore(settings), SealedStore(settings, settings.copy_store)
    async with unit_of_work(engine) as connection:
        row = await store.find(connection, recording_id)
    if row is None or row.state != "stored":
        raise OperationFailed(f"recording {recording_id} is not stored")
    name, sealed = reader.require_sealed(row)
    try:
        await asyncio.to_thread(first.check_object, name, sealed)
    except (Altered, ObjectMissing):
        await asyncio.to_thread(second.copy_to, first, name, sealed)
    else:
        await _copy(engine, first, second, row)


async def verify(
    engine: AsyncEngine, settings: Settings, *, sample: int | None, progress: Progress
) -> dict[UUID, str]:
    """Read and open all stored recordings, or a random sample, and read their copies.

    Returns the faults by recording. Raises DependencyUnavailable, NoKey, ObjectStoreUnavailable
    when they cannot be checked.
    """
    found: dict[UUID, str] = {}
    checked = 0
    stores = [SealedStore(settings, place) for place in _places(settings)]
    for sealed_store in stores:
        await asyncio.to_thread(sealed_store.reach)
    async with unit_of_work(engine) as connection:
        total = await store.count_stored(connection)
    async for rows in _to_verify(engine, sample, total):
        async with unit_of_work(engine) as connection:
            copied = await store.copied_ids(connection, [row.id for row in rows])
        found |= await asyncio.to_thread(_wrong, stores, rows, copied)
        checked += len(rows)
        progress(checked, total if sample is None else min(sample, total))
    return found


async def _to_verify(
    engine: AsyncEngine, sample: int | None, total: int
) -> AsyncIterator[list[RecordingRow]]:
    if sample is not None:
        async with unit_of_work(engine) as connection:
            rows = await some_stored(connection, sample, total)
        for begin in range(0, len(rows), BATCH):
            yield rows[begin : begin + BATCH]
        return
    after: UUID | None = None
    while True:
        async with unit_of_work(engine) as connection:
            rows = await store.stored_after(connection, after, limit=BATCH)
        if not rows:
            return
        yield rows
        after = rows[-1].id


def _wrong(
    stores: list[SealedStore], rows: list[RecordingRow], copied: set[UUID]
) -> dict[UUID, str]:
    found: dict[UUID, list[str]] = {}
    for row in rows:
        checks = [stores[0].check]
        checks += [sealed_store.check_object for sealed_store in stores[1:] if row.id in copied]
        for check, about in zip(checks, ("", "the copy: "), strict=False):
            try:
                check(*reader.require_sealed(row))
            except (ObjectStoreUnavailable, NoKey):
                raise
            except OperationFailed as exc:
                found.setdefault(row.id, []).append(f"{about}{exc}")
    return {recording_id: "; ".join(wrong) for recording_id, wrong in found.items()}


def _places(settings: Settings) -> list[Path | S3Location]:
    """The store, and the second store if there is one."""
    return [settings.store, *([settings.copy_store] if settings.copy_store else [])]


def _seal(
    sealed_store: SealedStore, plain: Path, name: str, row: RecordingRow
) -> SealedObjectFacts:
    with plain.open("rb") if plain.exists() else sealed_store.open(name) as audio:
        sealed = sealed_store.seal(audio, name)
    if sealed.audio_sha256 != row.sha256:
        raise Altered("the plain file is not what was stored")
    return sealed


@jobs.periodic(cron="* * * * *")
@jobs.task(
    name="recordings.tend",
    pass_context=True,
    queueing_lock="recordings.tend",
    lock="recordings.tend",
)
async def tend_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001 (procrastinate's)
    """Run `remove_erased`, `seal_plain` and `copy_stored` every minute, never two at once.

    So an erased recording is not copied after it was removed.
    """
    tools = tools_of(context)
    await remove_erased(tools)
    await seal_plain(tools)
    await copy_stored(tools, until=time.monotonic() + COPY_LIMIT)


async def verify_sample(tools: WorkerResources) -> int:
    """Verify a random sample and log its faults, and the quarantine, at CRITICAL.

    Returns the number of faulty recordings. Raises as `verify` does.
    """
    found = await verify(
        tools.engine, tools.settings, sample=SAMPLE, progress=lambda checked, total: None
    )
    for recording_id, why in list(found.items())[:SHOWN]:
        log.critical("verification failed: recording %s: %s", recording_id, why)
    async with unit_of_work(tools.engine) as connection:
        quarantined = await quarantine_store.list_quarantined(connection)
    if found or quarantined:
        log.critical(
            "recordings damaged: %d stored, %d in quarantine: see `callcenter recordings`",
            len(found),
            len(quarantined),
        )
    return len(found)
