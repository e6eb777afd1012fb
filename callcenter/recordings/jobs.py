"""What the worker does in the store: removes what was erased, seals, copies, verifies."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from procrastinate import JobContext
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.buckets import Bucket
from callcenter.errors import WeFailed
from callcenter.recordings import opening, set_aside, store
from callcenter.recordings.age import Altered
from callcenter.recordings.formats import Sealed
from callcenter.recordings.keys import NoKey
from callcenter.recordings.sampling import some_stored
from callcenter.recordings.store import RecordingRow
from callcenter.recordings.vault import Vault, name_for
from callcenter.settings import Settings
from callcenter.storage.engine import unit_of_work
from callcenter.storage.jobs import Tools, jobs, tools_of
from callcenter.storage.objects import ObjectMissing, StoreFails

log = logging.getLogger(__name__)

BATCH = 100
SAMPLE = 1000  # recordings of a night
SHOWN = 20  # in the log

COPIED_AT_ONCE = 10
COPYING = 50.0  # seconds of a minute: what was erased is removed in the next

#: Told after each batch: how many were checked so far, and of how many.
Progress = Callable[[int, int], None]


async def remove_erased(tools: Tools) -> None:
    """Remove the audio of recordings that were erased; the row stays, as the tombstone.

    May be killed anywhere and repeated. Raises NotReady, StoreFails, OSError: the next minute goes
    on where this ended.
    """
    vaults = [Vault(tools.settings, place) for place in _places(tools.settings)]
    async with unit_of_work(tools.engine) as connection:
        rows = await store.to_remove(connection, limit=BATCH)
    for row in rows:
        raw = tools.settings.spool / row.spool_name  # left when a worker was killed
        await asyncio.to_thread(raw.unlink, missing_ok=True)
        for vault in vaults:
            await asyncio.to_thread(vault.remove, row.store_name or "")
        async with unit_of_work(tools.engine) as connection:
            await store.removed(connection, row.id)


async def seal_plain(tools: Tools) -> None:
    """Seal what was stored before recordings were sealed, and remove the plain files.

    May be killed anywhere and repeated. What is not as it was stored stays, and is told of.
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
                sealed = await asyncio.to_thread(_seal, Vault(tools.settings), plain, name, row)
                await store.sealed_now(connection, row.id, name, sealed)
                # Before the commit: killed in between, the sealed one is there to begin again with.
                await asyncio.to_thread(plain.unlink, missing_ok=True)
            except (WeFailed, OSError) as exc:
                log.critical("recording %s cannot be sealed: %s", row.id, exc)
        after = row.id


async def copy_stored(tools: Tools, until: float) -> None:
    """Copy what was sealed to the second store, if there is one, until then (monotonic).

    May be killed anywhere and repeated. What is not as it was sealed is not copied, and told of.
    Raises NotReady, StoreFails: the next minute goes on where this ended.
    """
    place = tools.settings.copy_store
    if place is None:
        return
    first, second = Vault(tools.settings), Vault(tools.settings, place)
    after: tuple[datetime, UUID] | None = None
    while time.monotonic() < until:
        async with unit_of_work(tools.engine) as connection:
            rows = await store.to_copy(connection, after, limit=COPIED_AT_ONCE)
        if not rows:
            return
        for row in rows:
            await _copy(tools.engine, first, second, row)
        after = (rows[-1].ended_at or rows[-1].started_at, rows[-1].id)


async def _copy(engine: AsyncEngine, source: Vault, target: Vault, row: RecordingRow) -> None:
    try:
        await asyncio.to_thread(source.copy_to, target, *opening.sealed(row))
    except StoreFails:
        raise
    except WeFailed as exc:
        log.critical("recording %s is not copied: %s", row.id, exc)
        return
    async with unit_of_work(engine) as connection:
        await store.copied(connection, row.id, datetime.now(UTC))


async def mend(engine: AsyncEngine, settings: Settings, recording_id: UUID) -> None:
    """Put the good one of the two objects in the place of the one that is missing or altered.

    Raises WeFailed when neither is good, or there is no second store.
    """
    if settings.copy_store is None:
        raise WeFailed("there is no second store to take it from (CALLCENTER_RECORDINGS_COPY)")
    first, second = Vault(settings), Vault(settings, settings.copy_store)
    async with unit_of_work(engine) as connection:
        row = await store.find(connection, recording_id)
    if row is None or row.state != "stored":
        raise WeFailed(f"recording {recording_id} is not stored")
    name, sealed = opening.sealed(row)
    try:
        await asyncio.to_thread(first.check_object, name, sealed)
    except (Altered, ObjectMissing):
        await asyncio.to_thread(second.copy_to, first, name, sealed)
    else:
        await _copy(engine, first, second, row)


async def verify(
    engine: AsyncEngine, settings: Settings, *, sample: int | None, progress: Progress
) -> dict[UUID, str]:
    """Read and open every stored recording, or so many at random, and read its copy.

    Returns what is wrong, by recording. Raises NotReady, NoKey, StoreFails: it cannot be told.
    """
    found: dict[UUID, str] = {}
    checked = 0
    vaults = [Vault(settings, place) for place in _places(settings)]
    for vault in vaults:
        await asyncio.to_thread(vault.reach)
    async with unit_of_work(engine) as connection:
        total = await store.count_stored(connection)
    async for rows in _to_verify(engine, sample, total):
        async with unit_of_work(engine) as connection:
            copied = await store.copied_of(connection, [row.id for row in rows])
        found |= await asyncio.to_thread(_wrong, vaults, rows, copied)
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


def _wrong(vaults: list[Vault], rows: list[RecordingRow], copied: set[UUID]) -> dict[UUID, str]:
    found: dict[UUID, list[str]] = {}
    for row in rows:
        checks = [vaults[0].check]
        checks += [vault.check_object for vault in vaults[1:] if row.id in copied]
        for check, about in zip(checks, ("", "the copy: "), strict=False):
            try:
                check(*opening.sealed(row))
            except (StoreFails, NoKey):
                raise
            except WeFailed as exc:
                found.setdefault(row.id, []).append(f"{about}{exc}")
    return {recording_id: "; ".join(wrong) for recording_id, wrong in found.items()}


def _places(settings: Settings) -> list[Path | Bucket]:
    """The store, and that of copies if there is one."""
    return [settings.store, *([settings.copy_store] if settings.copy_store else [])]


def _seal(vault: Vault, plain: Path, name: str, row: RecordingRow) -> Sealed:
    with plain.open("rb") if plain.exists() else vault.open(name) as audio:
        sealed = vault.seal(audio, name)
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
    """`remove_erased`, `seal_plain` and `copy_stored` every minute, never two at once: what was
    erased is not copied after it was removed."""
    tools = tools_of(context)
    await remove_erased(tools)
    await seal_plain(tools)
    await copy_stored(tools, until=time.monotonic() + COPYING)


async def verify_sample(tools: Tools) -> int:
    """`verify` of a sample, told at the level CRITICAL, and a word on what was set aside.

    Returns how many of the sample are wrong. Raises as `verify` does.
    """
    found = await verify(
        tools.engine, tools.settings, sample=SAMPLE, progress=lambda checked, total: None
    )
    for recording_id, why in list(found.items())[:SHOWN]:
        log.critical("recording %s: %s", recording_id, why)
    async with unit_of_work(tools.engine) as connection:
        aside = await set_aside.aside(connection)
    if found or aside:
        log.critical(
            "%d stored recordings are wrong, %d are set aside: see `callcenter recordings`",
            len(found),
            len(aside),
        )
    return len(found)
