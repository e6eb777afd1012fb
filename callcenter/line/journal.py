"""What is kept of calls, on its way to the database: in order, in batches, never in a call's way.

A call writes down a moment and goes on; this journal writes them all, a quarter of a second later
at the latest, an opening and a closing after a tenth: so the entries of many calls share a
transaction. That a recording begins is written at once: should we be killed that moment, the file
must be known.

While the database is away or slow entries wait, in order, with their original times; from half a
second on they wait on disk as well (callcenter/line/backlog.py). So a healthy database costs no
call a line on disk, and no death of ours loses what a sick one has not taken.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from uuid import UUID, uuid4

from callcenter.appeals.callers import Caller
from callcenter.errors import WeFailed
from callcenter.line.backlog import Backlog, NotOnDisk
from callcenter.line.entries import (
    CallbackPromised,
    Closed,
    Entry,
    MessageEmpty,
    MessagePromised,
    Opened,
    OutgoingBegan,
    OutgoingCarried,
    OutgoingClosed,
    PromiseEnded,
    RecordingBegan,
    RecordingEnded,
)
from callcenter.line.outcomes import Moment
from callcenter.line.records import CallRecord, OutgoingRecord
from callcenter.line.whereabouts import Whereabouts

log = logging.getLogger(__name__)

LAZY = 0.25  # seconds that an ordinary moment may wait for company
SOON = 0.1  # seconds that what is `URGENT` may wait
FIRST_DELAY, LAST_DELAY = 0.2, 5.0  # seconds between attempts to reach the database
BATCH = 500  # entries written in one transaction
SURELY = 3.0  # seconds for an entry to be in the database: a caller hears nothing meanwhile
LATE = 0.5  # seconds that a transaction may last before what waits goes on disk as well
GROUP = 0.05  # seconds between two writes to the disk: entries of many calls share one
DISK_AGAIN = 1.0  # seconds after which a disk that failed is tried again, or not waited for


URGENT = (
    Opened,
    RecordingEnded,
    CallbackPromised,
    MessagePromised,
    MessageEmpty,
    PromiseEnded,
    Closed,
    OutgoingBegan,
    OutgoingCarried,
    OutgoingClosed,
)


class EntryRefused(WeFailed):
    """The database refuses an entry itself, so that trying again is no use."""


class Journal:
    """One controller's journal. `run` must be running for anything to be written."""

    def __init__(
        self, write: Callable[[Sequence[Entry]], Awaitable[None]], backlog: Backlog
    ) -> None:
        """`write` puts a batch into the database in one transaction, and may be repeated.

        It raises EntryRefused when the entries are at fault, any other WeFailed when it is not.
        """
        self._write = write
        self._backlog = backlog
        self._entries: list[Entry] = []
        self._gone = 0  # entries that are in the database: those of `_entries` follow them
        self._for_disk = 0  # of all entries ever put, how many were given to the disk,
        self._on_disk = 0  # and how many are there
        self._late = asyncio.Event()
        self._disk_turn = asyncio.Lock()
        self._awaited: dict[int, asyncio.Future[None]] = {}  # by the id() of the entry
        self._some = asyncio.Event()
        self._urgent = asyncio.Event()
        self._at_once = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        #: Told the id of a call's leg and where the call is; must not block.
        self.remember: Callable[[str, str | None], None] = lambda leg, where: None
        #: Called when what waited on disk, ours or a dead process's, is in the database.
        self.when_caught_up: Callable[[], object] = lambda: None
        #: Does a deed once it is sure that the calls are ours; else never.
        self.when_sure: Callable[[Callable[[], None]], None] = lambda deed: deed()

    @property
    def depth(self) -> int:
        """Entries that are not in the database yet."""
        return len(self._entries)

    @property
    def on_disk(self) -> int:
        """Bytes of them that are on disk."""
        return self._backlog.size

    def kept_where(self, leg: str, where: str | None) -> None:
        """Keep where a call is, should somebody else have to go on with it; returns at once."""
        self.when_sure(partial(self.remember, leg, where))

    def put(self, entry: Entry) -> None:
        """Keep an entry; returns at once. Of calls that are another's by now nothing is kept."""
        self.when_sure(partial(self._put, entry))

    def _put(self, entry: Entry) -> None:
        self._entries.append(entry)
        self._some.set()
        self._idle.clear()
        if isinstance(entry, RecordingBegan):
            self._write_at_once()
        elif isinstance(entry, URGENT):
            self._urgent.set()

    async def keep(self, entry: Entry) -> None:
        """Put an entry, and return when it is in the database.

        Raises WeFailed when that is not certain within three seconds (the entry may yet be
        written), EntryRefused when it will never be.
        """
        try:
            async with asyncio.timeout(SURELY):
                await self._kept(entry)
        except TimeoutError:
            raise WeFailed("the database has not kept it within seconds") from None

    async def inherit(self, entries: Sequence[Entry]) -> None:
        """Put what a dead process left, and return when it is in the database.

        It comes before whatever is put after this was begun; what is refused is set aside.
        """
        for entry in entries[:-1]:
            self.put(entry)
        if entries:
            with contextlib.suppress(EntryRefused):
                await self._kept(entries[-1])

    async def _kept(self, entry: Entry) -> None:
        kept = self._awaited[id(entry)] = asyncio.get_running_loop().create_future()
        self.put(entry)
        self._write_at_once()
        try:
            await kept
        finally:
            del self._awaited[id(entry)]

    def opened(self, call_id: str, caller: Caller) -> CallRecord:
        """Open the record of a call that has just come in."""
        record = CallRecord(self, uuid4(), call_id)
        self.put(Opened(record.appeal_id, call_id, caller, datetime.now(UTC)))
        record.moment(Moment.RECEIVED)
        return record

    def outgoing(self, outgoing_id: UUID, appeal_id: UUID, first: int) -> OutgoingRecord:
        """The record of a call of ours, which the database knows; `first` is its first `seq`."""
        return OutgoingRecord(self, appeal_id, outgoing_id, first)

    def resumed(self, leg: str, where: Whereabouts) -> CallRecord:
        """The record of a call that a dead controller had, whose leg this is."""
        appeal_id, first = UUID(where.appeal), where.next_first
        if not where.outgoing:
            record = CallRecord(self, appeal_id, leg, first)
        else:
            record = OutgoingRecord(self, appeal_id, UUID(where.outgoing), first)
            record.memory.carried_by(leg)
        record.memory.note(**{**vars(where), "first": first})
        return record

    async def run(self) -> None:
        """Write until cancelled. What is on disk then is for whoever inherits it."""
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._into_database())
                both.create_task(self._onto_disk())
        finally:
            self._backlog.close()

    async def _into_database(self) -> None:
        while True:
            await self._wait_for_entries()
            # What is on disk ends with a batch: written again after a death, it must not undo
            # what came later.
            most = min(BATCH, self._for_disk - self._gone) if self._is_behind_disk() else BATCH
            batch = self._entries[:most]
            try:
                await self._write_stubbornly(batch)
            except EntryRefused:
                await self._write_one_by_one(batch)
            del self._entries[: len(batch)]
            self._gone += len(batch)
            await self._forget_what_is_on_disk()
            if len(self._entries) <= BATCH:
                self._late.clear()
            if not self._entries:
                self._some.clear()
                self._idle.set()

    def _is_behind_disk(self) -> bool:
        """Whether something that is on disk, or on its way there, is not in the database."""
        return self._gone < self._for_disk

    async def _onto_disk(self) -> None:
        """While the database is late, put down on disk what waits for it."""
        while True:
            await self._late.wait()
            begin = max(self._for_disk, self._gone)
            end = self._gone + len(self._entries)
            if begin == end:
                await asyncio.sleep(GROUP)
                continue
            new = self._entries[begin - self._gone :]
            self._for_disk = end
            try:
                async with self._disk_turn:
                    await self._backlog.append(new)
                self._on_disk = end
                await asyncio.sleep(GROUP)
            except NotOnDisk as exc:
                self._for_disk = begin
                log.critical("%d entries of the journal are in memory alone: %s", self.depth, exc)
                await asyncio.sleep(DISK_AGAIN)

    async def _forget_what_is_on_disk(self) -> None:
        """Remove the file once all of it is in the database; a disk that hangs is left alone."""
        if self._is_behind_disk() or not self._backlog.exists:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DISK_AGAIN), self._disk_turn:
                if not self._is_behind_disk():
                    await self._backlog.remove()
                    self.when_caught_up()

    async def written(self) -> None:
        """Return when everything put so far is in the database."""
        self._write_at_once()
        await self._idle.wait()

    async def safe(self) -> None:
        """Return when everything put so far is in the database, or at least on disk."""
        everything = self._gone + len(self._entries)
        self._write_at_once()
        while max(self._gone, self._on_disk) < everything:  # noqa: ASYNC110 two places, either will do
            await asyncio.sleep(GROUP)

    def _write_at_once(self) -> None:
        self._urgent.set()
        self._at_once.set()

    async def _wait_for_entries(self) -> None:
        await self._some.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAZY):
                await self._urgent.wait()
                async with asyncio.timeout(SOON):
                    await self._at_once.wait()
        self._urgent.clear()
        self._at_once.clear()

    async def _write_stubbornly(self, batch: Sequence[Entry]) -> None:
        """Try until the batch is written; raises EntryRefused only."""
        delay = FIRST_DELAY
        late = asyncio.get_running_loop().call_later(LATE, self._late.set)
        try:
            while True:
                try:
                    await self._write(batch)
                    return self._written(batch)
                except EntryRefused:
                    raise
                except WeFailed as exc:
                    self._late.set()
                    log.error("%d entries of the journal wait: %s", self.depth, exc)
                    await asyncio.sleep(delay)
                    delay = min(delay * 2, LAST_DELAY)
        finally:
            late.cancel()

    def _written(self, batch: Sequence[Entry], fault: EntryRefused | None = None) -> None:
        """Tell whoever awaits one of these entries."""
        for entry in batch if self._awaited else ():
            kept = self._awaited.get(id(entry))
            if kept is not None and not kept.done():
                if fault is None:
                    kept.set_result(None)
                else:
                    kept.set_exception(fault)

    async def _write_one_by_one(self, batch: Sequence[Entry]) -> None:
        """A bad entry must not hold up the others: it is set aside, and said by its id."""
        for entry in batch:
            try:
                await self._write_stubbornly([entry])
            except EntryRefused as exc:
                kind, appeal = type(entry).__name__, entry.appeal_id
                log.critical("%s of appeal %s is set aside: %s", kind, appeal, exc)
                try:
                    await self._backlog.set_aside(entry)
                except NotOnDisk as fault:
                    log.critical("%s of appeal %s lost: %s", kind, appeal, fault)
                self._written([entry], exc)
