"""The sealing worker: moves closed recordings from the spool to the sealed store.

The register is the queue: all rows in state `closed` are due. A lock makes one worker alone seal
from a spool, so no object of the store is ever made twice. Long recordings have a thread of their
own, so that others do not wait for them. See docs/decisions/0011, 0022 and 0038.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import timedelta
from tempfile import TemporaryFile
from typing import TypeVar
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.notify_listener import NotifyListener
from callcenter.platform.storage.objects import ObjectMissing, ObjectStoreUnavailable
from callcenter.recordings import store
from callcenter.recordings.formats import Format
from callcenter.recordings.sealing import audio, reader, spool
from callcenter.recordings.sealing.age import Altered
from callcenter.recordings.sealing.sealed_store import SealedStore, name_for
from callcenter.recordings.sealing.tag import RecordingTag
from callcenter.recordings.store import DurationRange, RecordingRow, SealResult

log = logging.getLogger(__name__)

LOOK_INTERVAL = 1.0  # seconds between two looks at least: what closes meanwhile is one batch
LONG_LOOK_INTERVAL = 5.0  # seconds; the same for long ones, of whom there are few
IDLE_INTERVAL = 60.0  # seconds between two looks, should a notification have been lost
TIDY_INTERVAL = 60.0  # seconds
BATCH = 32  # recordings of one round
MAX_BACKOFF = 256.0  # seconds; 2, 4, 8 ... until then, between attempts at one recording
MAX_STORE_BACKOFF = 32.0  # seconds; the same between checks of a store that does not answer
LONG_AFTER = timedelta(minutes=20)  # a second of work for one core; of hours, several
ANY = timedelta(days=36_500)  # also before its beginning, when a clock was put back
EVERY_LENGTH, SHORTER, LONGER = (
    DurationRange(-ANY, ANY),
    DurationRange(-ANY, LONG_AFTER),
    DurationRange(LONG_AFTER, ANY),
)
TOLERANCE_MS = 2000  # between a recording and its conversation
STILL_OPEN_BACKOFF = 2.0  # seconds; Asterisk closes it when the conversation ends

# More than the worker has, 19 at most; Linux counts it for each thread. A third of a call's share
# when all want the processors: at 10 a machine that was much too busy let recordings wait for half
# a minute.
NICE = 5

Result = TypeVar("Result")


@dataclass(slots=True)
class Backoff:
    """Failed attempts at a recording or store; the next one is at `due` (monotonic)."""

    attempts: int = 0
    due: float = 0.0

    def record_failure(self, limit: float) -> None:
        """Count a failed attempt; the next one is 2, 4, 8 ... seconds later, up to `limit`."""
        self.attempts += 1
        self.due = time.monotonic() + min(2.0 ** min(self.attempts, 30), limit)


class SealingWorker:
    """Seals the recordings of its machine's switch."""

    def __init__(self, settings: Settings, engine: AsyncEngine) -> None:
        self._spool = settings.spool
        self._sealed_store = SealedStore(settings)
        self._stores = [self._sealed_store]
        if settings.copy_store is not None:
            self._stores.append(SealedStore(settings, settings.copy_store))
        self._format = Format(settings.recordings_format)
        self._engine = engine
        self._listener = NotifyListener(settings)
        self._closed = {
            lengths: self._listener.subscribe(store.CHANNEL) for lengths in (SHORTER, LONGER)
        }
        self._backoffs: dict[UUID, Backoff] = {}
        self._store_backoff = Backoff()  # the store
        self._stopping = False
        # A thread for each of both, which encodes only what calls leave of the processors.
        self._threads = {
            lengths: ThreadPoolExecutor(1, "recordings", _lower_priority)
            for lengths in (SHORTER, LONGER)
        }

    async def run(self) -> None:
        """Seal until cancelled; cancelling waits for the recording in work."""
        while True:
            try:
                with spool.lock(self._spool):
                    async with asyncio.TaskGroup() as tasks:
                        tasks.create_task(self._listener.run())
                        tasks.create_task(self._run_loop(SHORTER, LOOK_INTERVAL, tidying=True))
                        tasks.create_task(self._run_loop(LONGER, LONG_LOOK_INTERVAL))
            except* spool.SpoolLocked:  # the other worker may end: stand by
                await asyncio.sleep(LOOK_INTERVAL)

    async def seal_closed(self, lengths: DurationRange = EVERY_LENGTH) -> int:
        """Seal the next closed recordings of these lengths and remove their raw files.

        Returns how many were due: none while the store is unavailable, BATCH at most. May be killed
        at any moment and repeated. A file that is missing or empty makes its recording `failed`,
        unless the store has it already, and is left where it is; any other fault is tried again
        later. Raises DependencyUnavailable, SQLAlchemyError.
        """
        if not await self._in_thread(lengths, self.is_store_available):
            return 0
        async with unit_of_work(self._engine) as connection:
            rows = await store.list_closed(
                connection, besides=self._not_due(), lengths=lengths, limit=BATCH
            )
        if not rows:
            return 0
        settled = await self._in_thread(lengths, lambda: self.seal_all(rows))
        async with unit_of_work(self._engine) as connection:
            stored = await store.settle(connection, settled)
        await self._in_thread(lengths, lambda: self.remove_raw(stored))
        return len(rows)

    async def tidy(self) -> None:
        """Remove raw files of empty recordings, and what a killed worker did not remove.

        Raises DependencyUnavailable, SQLAlchemyError and OSError.
        """
        names = await self._in_thread(SHORTER, lambda: spool.recorded_names(self._spool))
        async with unit_of_work(self._engine) as connection:
            settled = await store.list_settled_from(connection, names)
        removable = await self._in_thread(SHORTER, lambda: self._filter_removable(settled))
        await self._in_thread(SHORTER, lambda: self.remove_raw(removable))

    async def _run_loop(
        self, lengths: DurationRange, interval: float, *, tidying: bool = False
    ) -> None:
        tidied = float("-inf")
        while True:
            is_interrupted = False
            try:
                if tidying and time.monotonic() - tidied >= TIDY_INTERVAL:
                    await self.tidy()
                    tidied = time.monotonic()
                while await self.seal_closed(lengths) == BATCH:
                    pass
            except (OperationFailed, SQLAlchemyError, OSError) as exc:
                is_interrupted = True
                log.error("sealing interrupted: %s", exc)
            await asyncio.sleep(interval)
            if not (is_interrupted or self._backoffs or self._store_backoff.attempts):
                await self._closed[lengths].wait(IDLE_INTERVAL)

    async def _in_thread(self, lengths: DurationRange, work: Callable[[], Result]) -> Result:
        """Run in the thread for these lengths; it has ended when this returns or is cancelled.

        Otherwise it would go on writing when another worker has the spool already.
        """
        thread = self._threads.get(lengths, self._threads[SHORTER])
        working = asyncio.get_running_loop().run_in_executor(thread, work)
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            self._stopping = True
            await asyncio.wait([working])
            raise

    def is_store_available(self) -> bool:
        """Whether the store answers; asked only after a failure.

        Files wait in the spool meanwhile.
        """
        if not self._store_backoff.attempts:
            return True
        if time.monotonic() < self._store_backoff.due:
            return False
        return self._check_store()

    def _check_store(self) -> bool:
        try:
            self._sealed_store.reach()
        except ObjectStoreUnavailable as exc:
            self._store_backoff.record_failure(MAX_STORE_BACKOFF)
            log.critical("store unavailable: recordings wait in the spool: %s", exc)
            return False
        self._store_backoff = Backoff()
        return True

    def seal_all(self, rows: Sequence[RecordingRow]) -> list[SealResult]:
        settled = []
        for row in rows:
            if self._stopping:
                break
            try:
                settled.append(self._seal_one(row))
            except ObjectStoreUnavailable as exc:
                if not self._check_store():  # it would be the same with every other
                    break
                self._back_off(row.id, exc)
            except Exception as exc:  # a fault of one must not keep the others waiting
                self._back_off(row.id, exc)
            else:
                self._backoffs.pop(row.id, None)
        return settled

    def _seal_one(self, row: RecordingRow) -> SealResult:
        name = name_for(row.id, row.started_at, self._format)
        # The audio has no name on the disk: a kill leaves nothing of it.
        with TemporaryFile(dir=self._spool) as file:
            try:
                encoded = audio.encode(
                    self._spool / row.spool_name, file, self._format, RecordingTag.of(row).comment
                )
            except audio.UnusableAudio as exc:
                return self._find_sealed(row) or _failed(row, exc)
            facts = self._sealed_store.seal(file, name)
        _compare(row, encoded.duration_ms)
        fault = None
        if encoded.partial_bytes:
            fault = (
                f"the file ended in a partial frame: {encoded.partial_bytes} bytes were left out"
            )
            log.warning("recording cut to whole frames: %s: %s", row.id, fault)
        return SealResult(
            row.id, "stored", name, duration_ms=encoded.duration_ms, fault=fault, **asdict(facts)
        )

    def _find_sealed(self, row: RecordingRow) -> SealResult | None:
        """The result of sealing that the register has forgotten, None when it was never sealed.

        So it is when the database went back in time, by a failover or a restore: the raw file was
        removed long ago. When none that is there is good it raises, and is tried again: a key or a
        good copy may come back.
        """
        fault: OperationFailed | None = None
        for sealed_store in self._stores:
            for written in Format:
                name = name_for(row.id, row.started_at, written)
                try:
                    found = sealed_store.inspect(name)
                except ObjectMissing:
                    continue
                except (Altered, audio.VerificationFailed) as exc:
                    fault = exc
                    continue
                if found.tag is not None and found.tag.recording_id != row.id:
                    fault = Altered(f"{name} is of another recording")
                    continue
                if sealed_store is not self._sealed_store:
                    sealed_store.copy_to(self._sealed_store, name, found.facts)
                log.warning("recording found in the store, sealed before: %s", row.id)
                return found.result(row.id)
        if fault is not None:
            raise fault
        return None

    def _back_off(self, recording_id: UUID, exc: Exception) -> None:
        backoff = self._backoffs.setdefault(recording_id, Backoff())
        if isinstance(exc, audio.StillOpen):
            backoff.record_failure(STILL_OPEN_BACKOFF)
            if backoff.attempts == 1:
                log.warning("sealing delayed: recording %s: %s", recording_id, exc)
        else:
            backoff.record_failure(MAX_BACKOFF)
            log.error("sealing failed for now: recording %s", recording_id, exc_info=exc)

    def _not_due(self) -> list[UUID]:
        now = time.monotonic()
        return [each for each, backoff in list(self._backoffs.items()) if backoff.due > now]

    def _filter_removable(self, settled: Sequence[RecordingRow]) -> list[RecordingRow]:
        """The recordings, of these, that are empty or open as they were when they were entered."""
        found = []
        for row in settled:
            try:
                if row.state == "empty":
                    if (self._spool / row.spool_name).stat().st_size:
                        raise Altered("its file is not empty")
                else:
                    self._sealed_store.check(*reader.require_sealed(row))
            except (OperationFailed, OSError) as exc:
                log.critical("raw file not removed: recording %s: %s", row.id, exc)
            else:
                found.append(row)
        return found

    def remove_raw(self, settled: Sequence[RecordingRow]) -> None:
        for row in settled:
            try:
                (self._spool / row.spool_name).unlink(missing_ok=True)
            except OSError as exc:
                log.critical("raw file not removed: recording %s: %s", row.id, exc)


def _failed(row: RecordingRow, exc: audio.UnusableAudio) -> SealResult:
    log.error("recording failed: %s: %s", row.id, exc)
    return SealResult(row.id, "failed", fault=str(exc))


def _compare(row: RecordingRow, duration_ms: int) -> None:
    """Log a length that differs from the conversation's; `recordings aside` lists it."""
    if row.ended_at is not None:
        length_ms = (row.ended_at - row.started_at).total_seconds() * 1000
        if abs(duration_ms - length_ms) > TOLERANCE_MS:
            log.error(
                "length differs: recording %s lasts %.0f ms, its conversation %.0f",
                row.id,
                duration_ms,
                length_ms,
            )


def _lower_priority() -> None:
    thread = threading.get_native_id()
    now = os.getpriority(os.PRIO_PROCESS, thread)  # which only root could lower
    os.setpriority(os.PRIO_PROCESS, thread, min(now + NICE, 19))
