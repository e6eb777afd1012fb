"""What the worker does in the store: removes what was erased, seals what is plain, verifies."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from procrastinate import JobContext
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.errors import WeFailed
from callcenter.recordings import opening, store
from callcenter.recordings.age import Altered
from callcenter.recordings.keys import NoKey
from callcenter.recordings.store import RecordingRow
from callcenter.recordings.vault import Sealed, Vault, name_for
from callcenter.storage.engine import unit_of_work
from callcenter.storage.jobs import Tools, jobs, tools_of
from callcenter.storage.objects import StoreFails

log = logging.getLogger(__name__)

BATCH = 100
SAMPLE = 1000  # recordings of a night
SHOWN = 20  # in the log
ASIDE_LATELY = timedelta(days=2)  # older ones were told of

#: Told after each batch: how many were checked so far.
Progress = Callable[[int], None]


async def remove_erased(tools: Tools) -> None:
    """Remove the audio of recordings that were erased; the row stays, as the tombstone.

    May be killed anywhere and repeated. Raises NotReady, StoreFails, OSError: the next minute goes
    on where this ended.
    """
    vault = Vault(tools.settings)
    async with unit_of_work(tools.engine) as connection:
        rows = await store.to_remove(connection, limit=BATCH)
    for row in rows:
        raw = tools.settings.spool / row.spool_name  # left when a worker was killed
        await asyncio.to_thread(raw.unlink, missing_ok=True)
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


async def verify(
    engine: AsyncEngine, vault: Vault, *, sample: int | None, progress: Progress
) -> dict[UUID, str]:
    """Read and open every stored recording, or so many at random.

    Returns what is wrong, by recording. Raises NotReady, NoKey, StoreFails: it cannot be told.
    """
    found: dict[UUID, str] = {}
    checked = 0
    async for rows in _to_verify(engine, sample):
        found |= await asyncio.to_thread(_wrong, vault, rows)
        checked += len(rows)
        progress(checked)
    return found


async def _to_verify(engine: AsyncEngine, sample: int | None) -> AsyncIterator[list[RecordingRow]]:
    if sample is not None:
        async with unit_of_work(engine) as connection:
            rows = await store.some_stored(connection, sample)
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


def _wrong(vault: Vault, rows: list[RecordingRow]) -> dict[UUID, str]:
    found = {}
    for row in rows:
        try:
            vault.check(*opening.sealed(row))
        except (StoreFails, NoKey):
            raise
        except WeFailed as exc:
            found[row.id] = str(exc)
    return found


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
    """`remove_erased` and `seal_plain` every minute."""
    await remove_erased(tools_of(context))
    await seal_plain(tools_of(context))


@jobs.periodic(cron="0 22 * * *")  # UTC: three at night in Asia/Almaty
@jobs.task(name="recordings.verify", pass_context=True, queueing_lock="recordings.verify")
async def verify_job(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """`verify` of a sample every night, and a word on what was set aside."""
    tools = tools_of(context)
    found = await verify(
        tools.engine, Vault(tools.settings), sample=SAMPLE, progress=lambda checked: None
    )
    for recording_id, why in list(found.items())[:SHOWN]:
        log.critical("recording %s: %s", recording_id, why)
    async with unit_of_work(tools.engine) as connection:
        aside = await store.aside(connection, since=datetime.now(UTC) - ASIDE_LATELY)
    if found or aside:
        log.critical(
            "%d stored recordings are wrong, %d are set aside: see `callcenter recordings`",
            len(found),
            len(aside),
        )
