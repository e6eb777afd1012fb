"""Replays spools of dead processes through the journal of a live one."""

import asyncio
import logging
from functools import partial
from pathlib import Path

from callcenter.platform.core.beats import until_beat
from callcenter.telephony.calls.journal.journal import Journal
from callcenter.telephony.calls.journal.spool import OrphanedSpool, orphaned_spools

log = logging.getLogger(__name__)

POLL_INTERVAL = 5.0  # seconds between two scans for spools
# Seconds since the last write of a dead process after which any process replays its spool: before
# that its successor by name, or the one that takes over its calls, does, so that all entries of a
# call are in one journal and in order.
QUIET_AFTER = 10.0


class OrphanedJournalReplayer:
    """Replays the spools of dead processes on this machine."""

    def __init__(self, journal: Journal, folder: Path) -> None:
        self._journal = journal
        self._folder = folder
        self._tasks: set[asyncio.Task[None]] = set()

    async def replay(self, *, of: str | None = None, quiet: float = 0.0) -> None:
        """Replay the spools of dead processes, or of the one named `of`, under lock.

        When this returns the entries are in the journal, before later ones; files are removed once
        all is in the database. `quiet` is the number of seconds without a write. Logs errors.
        """
        try:
            spools = await asyncio.to_thread(
                lambda: list(orphaned_spools(self._folder, of=of, quiet=quiet))
            )
        except OSError as exc:
            log.critical("journal replay failed: spools cannot be read: %s", exc)
            return
        for spool in spools:
            log.warning(
                "journal replay started: %s: %d entries", spool.path.name, len(spool.entries)
            )
            task = asyncio.create_task(self._replay_spool(spool))
            self._tasks.add(task)
            task.add_done_callback(partial(self._release, spool))
        await asyncio.sleep(0)  # each has started: its entries are in the journal

    async def run(self) -> None:
        """Replay quiet spools until cancelled."""
        try:
            while True:
                await self.replay(quiet=QUIET_AFTER)
                await until_beat(POLL_INTERVAL)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _replay_spool(self, spool: OrphanedSpool) -> None:
        await self._journal.replay(spool.entries)
        await asyncio.to_thread(spool.remove)
        self._journal.report_drained()

    def _release(self, spool: OrphanedSpool, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        spool.release()
        if not task.cancelled() and (fault := task.exception()) is not None:
            log.critical(
                "journal replay failed: spool %s cannot be removed: %s", spool.path.name, fault
            )
