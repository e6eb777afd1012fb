"""From the closed file to the sealed store: what a worker does with recordings, round after round.

The register is the queue: whatever is `closed` there is due. Only one worker at a time keeps what
is in a spool, so no object of the store is ever made twice. Long recordings have a thread of their
own, so that others do not wait for them. See docs/decisions/0012, 0023 and 0039.
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

from callcenter.errors import WeFailed
from callcenter.recordings import audio, opening, spool, store
from callcenter.recordings.formats import Format
from callcenter.recordings.store import Lengths, RecordingRow, Settled
from callcenter.recordings.vault import Vault, name_for
from callcenter.settings import Settings
from callcenter.storage.engine import unit_of_work
from callcenter.storage.objects import StoreFails

log = logging.getLogger(__name__)

LOOK_EVERY = 1.0  # seconds: the longest that a recording waits while nothing else is kept
TIDY_EVERY = 60.0  # seconds
BATCH = 32  # recordings of one round
LAST_DELAY = 256.0  # seconds; 2, 4, 8 ... until then, between attempts at one that cannot be kept
STORE_DELAY = 32.0  # the same between looks at a store that is away: nothing else is tried then
LONG = timedelta(minutes=20)  # a second of work for one core; of hours, several
ANY = timedelta(days=36_500)  # also before its beginning, when a clock was put back
EVERY_LENGTH, SHORTER, LONGER = Lengths(-ANY, ANY), Lengths(-ANY, LONG), Lengths(LONG, ANY)
TOLERANCE_MS = 2000  # between a recording and its conversation
STILL_WRITTEN_DELAY = 2.0  # seconds; Asterisk closes it when the conversation ends

# More than the worker has, 19 at most; Linux counts it for each thread. A third of a call's share
# when all want the processors: at 10 a machine that was much too busy let recordings wait for half
# a minute.
NICE = 5

Result = TypeVar("Result")


@dataclass(slots=True)
class PutOff:
    """What could not be done: so many attempts, the next one at `due` (monotonic)."""

    attempts: int = 0
    due: float = 0.0

    def again(self, last_delay: float) -> None:
        """Count an attempt; the next one is 2, 4, 8 ... seconds later."""
        self.attempts += 1
        self.due = time.monotonic() + min(2.0 ** min(self.attempts, 30), last_delay)


class Keeper:
    """A worker's care for the recordings of its machine's switch."""

    def __init__(self, settings: Settings, engine: AsyncEngine) -> None:
        self._spool = settings.spool
        self._vault = Vault(settings)
        self._format = Format(settings.recordings_format)
        self._engine = engine
        self._put_off: dict[UUID, PutOff] = {}
        self._away = PutOff()  # the store
        self._stopping = False
        # A thread for each of both, which encodes only what calls leave of the processors.
        self._threads = {
            lengths: ThreadPoolExecutor(1, "recordings", _give_way) for lengths in (SHORTER, LONGER)
        }

    async def run(self) -> None:
        """Keep recordings until cancelled, which takes as long as those that are at hand."""
        while True:
            try:
                with spool.held(self._spool):
                    async with asyncio.TaskGroup() as both:
                        both.create_task(self._keep_on(SHORTER, tidying=True))
                        both.create_task(self._keep_on(LONGER))
            except* spool.Held:  # the other worker may end: stand by
                await asyncio.sleep(LOOK_EVERY)

    async def keep_closed(self, lengths: Lengths = EVERY_LENGTH) -> bool:
        """Seal the next closed recordings of these lengths and remove their raw files.

        False when none is due, or the store is away. May be killed at any moment and repeated. A
        file that is missing, empty or partial makes its recording `failed`, and is left where it
        is; whatever else is wrong with one is tried again later. Raises NotReady, SQLAlchemyError.
        """
        if not await self._in_thread(lengths, self._store_is_there):
            return False
        async with unit_of_work(self._engine) as connection:
            rows = await store.closed(
                connection, besides=self._not_due(), lengths=lengths, limit=BATCH
            )
        if not rows:
            return False
        settled = await self._in_thread(lengths, lambda: self._keep_all(rows))
        async with unit_of_work(self._engine) as connection:
            stored = await store.settle(connection, settled)
        await self._in_thread(lengths, lambda: self._remove_raw(stored))
        return True

    async def tidy(self) -> None:
        """Remove the raw files that a worker left which was killed just before removing them.

        Raises NotReady, SQLAlchemyError and OSError.
        """
        names = await self._in_thread(SHORTER, lambda: spool.recorded(self._spool))
        async with unit_of_work(self._engine) as connection:
            stored = await store.stored_from(connection, names)
        sealed = await self._in_thread(SHORTER, lambda: self._still_sealed(stored))
        await self._in_thread(SHORTER, lambda: self._remove_raw(sealed))

    async def _keep_on(self, lengths: Lengths, *, tidying: bool = False) -> None:
        tidied = float("-inf")
        while True:
            try:
                if tidying and time.monotonic() - tidied >= TIDY_EVERY:
                    await self.tidy()
                    tidied = time.monotonic()
                while await self.keep_closed(lengths):
                    pass
            except (WeFailed, SQLAlchemyError, OSError) as exc:
                log.error("recordings wait to be kept: %s", exc)
            await asyncio.sleep(LOOK_EVERY)

    async def _in_thread(self, lengths: Lengths, work: Callable[[], Result]) -> Result:
        """In the thread for these lengths; the work has ended when this does, cancelled or not.

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

    def _store_is_there(self) -> bool:
        """Asked of the store itself only when it was away: files wait in the spool meanwhile."""
        if not self._away.attempts:
            return True
        if time.monotonic() < self._away.due:
            return False
        return self._reach()

    def _reach(self) -> bool:
        try:
            self._vault.reach()
        except StoreFails as exc:
            self._away.again(STORE_DELAY)
            log.critical("recordings wait in the spool, the store is away: %s", exc)
            return False
        self._away = PutOff()
        return True

    def _keep_all(self, rows: Sequence[RecordingRow]) -> list[Settled]:
        settled = []
        for row in rows:
            if self._stopping:
                break
            try:
                settled.append(self._keep(row))
            except StoreFails as exc:
                if not self._reach():  # it would be the same with every other
                    break
                self._try_later(row.id, exc)
            except Exception as exc:  # a fault of one must not keep the others waiting
                self._try_later(row.id, exc)
            else:
                self._put_off.pop(row.id, None)
        return settled

    def _keep(self, row: RecordingRow) -> Settled:
        name = name_for(row.id, row.started_at, self._format)
        # The audio has no name on the disk: a kill leaves nothing of it.
        with TemporaryFile(dir=self._spool) as file:
            try:
                duration_ms = audio.encode(self._spool / row.spool_name, file, self._format)
            except audio.Unfit as exc:
                log.error("recording %s failed: %s", row.id, exc)
                return Settled(row.id, "failed", fault=str(exc))
            sealed = self._vault.seal(file, name)
        _compare(row, duration_ms)
        return Settled(row.id, "stored", name, duration_ms=duration_ms, **asdict(sealed))

    def _try_later(self, recording_id: UUID, exc: Exception) -> None:
        put_off = self._put_off.setdefault(recording_id, PutOff())
        if isinstance(exc, audio.StillWritten):
            put_off.again(STILL_WRITTEN_DELAY)
            if put_off.attempts == 1:
                log.warning("recording %s waits: %s", recording_id, exc)
        else:
            put_off.again(LAST_DELAY)
            log.error("recording %s cannot be kept yet", recording_id, exc_info=exc)

    def _not_due(self) -> list[UUID]:
        now = time.monotonic()
        return [each for each, put_off in list(self._put_off.items()) if put_off.due > now]

    def _still_sealed(self, stored: Sequence[RecordingRow]) -> list[RecordingRow]:
        """Those of them that can be opened, as they were when they were entered."""
        found = []
        for row in stored:
            try:
                self._vault.check(*opening.sealed(row))
            except WeFailed as exc:
                log.critical("the raw file of recording %s stays: %s", row.id, exc)
            else:
                found.append(row)
        return found

    def _remove_raw(self, sealed: Sequence[RecordingRow]) -> None:
        for row in sealed:
            try:
                (self._spool / row.spool_name).unlink(missing_ok=True)
            except OSError as exc:
                log.critical("the raw file of recording %s stays: %s", row.id, exc)


def _compare(row: RecordingRow, duration_ms: int) -> None:
    """Say when it is not as long as its conversation: `callcenter recordings aside` lists it."""
    if row.ended_at is not None:
        length_ms = (row.ended_at - row.started_at).total_seconds() * 1000
        if abs(duration_ms - length_ms) > TOLERANCE_MS:
            log.error("recording %s lasts %.0f ms, not %.0f", row.id, duration_ms, length_ms)


def _give_way() -> None:
    thread = threading.get_native_id()
    now = os.getpriority(os.PRIO_PROCESS, thread)  # which only root could lower
    os.setpriority(os.PRIO_PROCESS, thread, min(now + NICE, 19))
