"""What dead processes left on disk goes into the database through the journal of a living one."""

import asyncio
import logging
from functools import partial
from pathlib import Path

from callcenter.line.backlog import Estate, estates
from callcenter.line.journal import Journal

log = logging.getLogger(__name__)

LOOK = 2.0  # seconds between two looks for what was left
# Seconds since the last word of a dead process, after which anybody inherits: the next life of the
# same name, or who takes over its calls, comes first, so that all that is said of a call is in one
# journal and in order.
QUIET = 10.0


class Inheritance:
    """One living process's care for the journals of dead ones on this machine."""

    def __init__(self, journal: Journal, folder: Path) -> None:
        self._journal = journal
        self._folder = folder
        self._tasks: set[asyncio.Task[None]] = set()

    async def take(self, *, of: str | None = None, quiet: float = 0.0) -> None:
        """Inherit what dead processes left, or the one named `of`; nobody else does then.

        When this returns it is in the journal, before whatever is put later; the files are removed
        once it is in the database. `quiet`: for so many seconds they must not have been written.
        Logs what cannot be read.
        """
        try:
            found = await asyncio.to_thread(lambda: list(estates(self._folder, of=of, quiet=quiet)))
        except OSError as exc:
            log.critical("journals of dead processes cannot be read: %s", exc)
            return
        for estate in found:
            log.warning("%s: %d entries are inherited", estate.path.name, len(estate.entries))
            task = asyncio.create_task(self._see_through(estate))
            self._tasks.add(task)
            task.add_done_callback(partial(self._done, estate))
        await asyncio.sleep(0)  # each has begun: its entries are in the journal

    async def run(self) -> None:
        """Inherit whatever nobody else does, until cancelled."""
        try:
            while True:
                await self.take(quiet=QUIET)
                await asyncio.sleep(LOOK)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _see_through(self, estate: Estate) -> None:
        await self._journal.inherit(estate.entries)
        await asyncio.to_thread(estate.remove)
        self._journal.when_caught_up()

    def _done(self, estate: Estate, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        estate.release()
        if not task.cancelled() and (fault := task.exception()) is not None:
            log.critical("%s cannot be removed: %s", estate.path.name, fault)
