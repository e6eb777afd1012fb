"""Write-behind journal of call events: ordered, batched, never blocks a call.

Entries are written after a quarter of a second, urgent ones (openings, closings) after a tenth, so
that many calls share a transaction. The start of a recording is written at once: if the process is
killed then, its file must have a row.

While the database is down or slow entries wait in order, with their original times; after half a
second they are spooled to disk as well (spool.py). So a healthy database costs no disk writes, and
a crash loses nothing that a slow one has not taken.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from uuid import UUID, uuid4

from callcenter.platform.core.caller_id import CallerId
from callcenter.platform.core.errors import OperationFailed
from callcenter.telephony.calls.call_state import CallState
from callcenter.telephony.calls.journal.call_record import CallRecord, OutboundRecord
from callcenter.telephony.calls.journal.codec import TAGS
from callcenter.telephony.calls.journal.events import (
    BecameUrgent,
    CallbackClosed,
    CallbackRequested,
    CallClosed,
    CallOpened,
    Entry,
    OutboundClosed,
    OutboundLegChanged,
    OutboundStarted,
    RecordingStarted,
    RecordingStopped,
    VoicemailDiscarded,
    VoicemailRegistered,
)
from callcenter.telephony.calls.journal.spool import JournalSpool, SpoolWriteFailed
from callcenter.telephony.calls.outcomes import CallEvent

log = logging.getLogger(__name__)

FLUSH_INTERVAL = 0.25  # seconds between two ordinary transactions
URGENT_FLUSH_TIMEOUT = 0.1  # seconds that `URGENT` entries may wait
FIRST_DELAY, LAST_DELAY = 0.2, 5.0  # seconds between two attempts, doubled each time
BATCH = 500  # entries written in one transaction
DURABLE_TIMEOUT = 3.0  # seconds for a durable entry: the caller hears nothing meanwhile
SPOOL_AFTER = 0.5  # seconds of a transaction after which entries are spooled as well
SPOOL_INTERVAL = 0.05  # seconds between two writes of the spool
DISK_RETRY_INTERVAL = 1.0  # seconds before a failed disk is retried, and limit of a removal
UNOPENED = 10_000  # newest calls whose opening was refused

OPENINGS = (CallOpened, OutboundStarted)

URGENT = (
    CallOpened,
    BecameUrgent,
    RecordingStopped,
    CallbackRequested,
    VoicemailRegistered,
    VoicemailDiscarded,
    CallbackClosed,
    CallClosed,
    OutboundStarted,
    OutboundLegChanged,
    OutboundClosed,
)


class EntryRefused(OperationFailed):
    """The database refuses the entry itself: retrying is useless."""


class Journal:
    """Journal of one controller. Nothing is written unless `run` is running."""

    def __init__(
        self,
        write: Callable[[Sequence[Entry]], Awaitable[None]],
        spool: JournalSpool,
        *,
        save_state: Callable[[str, CallState | None], None] | None = None,
        run_when_owner: Callable[[Callable[[], None]], None] | None = None,
        on_drained: Callable[[], object] | None = None,
    ) -> None:
        """`write` puts a batch into the database in one transaction, and may be repeated.

        It raises EntryRefused when an entry is at fault, else OperationFailed.
        `save_state` gets the id of a call's leg and the call's state, None when it is over; it
        must not block. `run_when_owner` runs an action once our ownership of the calls is
        confirmed, else never; without it at once. `on_drained` is called when a spool, ours or a
        dead process's, is in the database.
        """
        self._write = write
        self._spool = spool
        self._entries: list[Entry] = []
        self._written_count = 0  # entries that are in the database: those of `_entries` follow them
        self._queued_for_disk = 0  # how many of all entries were passed to the disk,
        self._on_disk = 0  # and how many are there
        self._late = asyncio.Event()
        self._disk_turn = asyncio.Lock()
        self._waiters: dict[int, asyncio.Future[None]] = {}  # by the id() of the entry
        self._has_entries = asyncio.Event()
        self._urgent = asyncio.Event()
        self._at_once = asyncio.Event()
        self._unopened: dict[UUID, None] = {}  # appeals whose opening was refused
        self._idle = asyncio.Event()
        self._idle.set()
        self._save_state = save_state
        self._run_when_owner = run_when_owner or _run
        self._on_drained = on_drained

    @property
    def depth(self) -> int:
        """Entries that are not in the database yet."""
        return len(self._entries)

    @property
    def on_disk(self) -> int:
        """Bytes of them on disk."""
        return self._spool.size

    def save_call_state(self, leg: str, state: CallState | None) -> None:
        """Save the state of a call for a takeover, None when it is over; returns at once."""
        if self._save_state is not None:
            self._run_when_owner(partial(self._save_state, leg, state))

    def append(self, entry: Entry) -> None:
        """Append an entry; returns at once. Calls that another controller owns are skipped."""
        self._run_when_owner(partial(self._put, entry))

    def _put(self, entry: Entry) -> None:
        self._entries.append(entry)
        self._has_entries.set()
        self._idle.clear()
        if isinstance(entry, RecordingStarted):
            self._write_at_once()
        elif isinstance(entry, URGENT):
            self._urgent.set()

    async def append_durably(self, entry: Entry) -> None:
        """Append an entry; returns when it is in the database.

        Raises OperationFailed when that is not certain within three seconds (the entry may yet be
        written), EntryRefused when it will never be.
        """
        try:
            async with asyncio.timeout(DURABLE_TIMEOUT):
                await self._append_and_wait(entry)
        except TimeoutError:
            raise OperationFailed("the database has not stored it in time") from None

    async def replay(self, entries: Sequence[Entry]) -> None:
        """Append entries of a dead process; returns when they are in the database.

        They precede whatever is appended after this was called; refused ones are quarantined.
        """
        for entry in entries[:-1]:
            self.append(entry)
        if entries:
            with contextlib.suppress(EntryRefused):
                await self._append_and_wait(entries[-1])

    async def _append_and_wait(self, entry: Entry) -> None:
        written = self._waiters[id(entry)] = asyncio.get_running_loop().create_future()
        self.append(entry)
        self._write_at_once()
        try:
            await written
        finally:
            del self._waiters[id(entry)]

    def open_call(self, call_id: str, caller: CallerId) -> CallRecord:
        """Open the record of a new inbound call."""
        record = CallRecord(self, uuid4(), call_id)
        self.append(CallOpened(record.appeal_id, call_id, caller, datetime.now(UTC)))
        record.add_event(CallEvent.RECEIVED)
        return record

    def open_outbound(self, outgoing_id: UUID, appeal_id: UUID, first: int) -> OutboundRecord:
        """Return the record of an outbound call in the database; `first` is its first `seq`."""
        return OutboundRecord(self, appeal_id, outgoing_id, first)

    def resume_call(
        self, call_id: str, caller: CallerId, began_at: datetime, state: CallState
    ) -> CallRecord:
        """Return the record of a dead controller's inbound call.

        That one may have been killed between saving the state and writing the opening, without
        which nothing of the call would be stored. Of a call that has an appeal it changes nothing.
        """
        self.append(CallOpened(UUID(state.appeal), call_id, caller, began_at))
        return self.resume_record(call_id, state)

    def resume_record(self, leg: str, state: CallState) -> CallRecord:
        """Return the record of a dead controller's call with this leg."""
        appeal_id, first = UUID(state.appeal), state.next_first
        if not state.outgoing:
            record = CallRecord(self, appeal_id, leg, first)
        else:
            record = OutboundRecord(self, appeal_id, UUID(state.outgoing), first)
            record.state_tracker.set_leg(leg)
        record.state_tracker.update(**{**vars(state), "first": first})
        return record

    async def run(self) -> None:
        """Write until cancelled; the spool that is left then is replayed by others."""
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._into_database())
                both.create_task(self._onto_disk())
        finally:
            self._spool.close()

    async def _into_database(self) -> None:
        while True:
            await self._wait_for_entries()
            # A batch ends where the spool ends: replayed after a crash, it must not undo later
            # entries.
            most = (
                min(BATCH, self._queued_for_disk - self._written_count)
                if self._is_behind_disk()
                else BATCH
            )
            batch = self._entries[:most]
            try:
                if any(entry.appeal_id in self._unopened for entry in batch):
                    raise EntryRefused
                await self._write_with_retry(batch)
            except EntryRefused:
                await self._write_one_by_one(batch)
            del self._entries[: len(batch)]
            self._written_count += len(batch)
            await self._remove_spool()
            if len(self._entries) <= BATCH:
                self._late.clear()
            if not self._entries:
                self._has_entries.clear()
                self._idle.set()

    def _is_behind_disk(self) -> bool:
        """Whether the spool has, or will have, entries that are not in the database."""
        return self._written_count < self._queued_for_disk

    async def _onto_disk(self) -> None:
        """Spool the entries that wait while the database is late."""
        while True:
            await self._late.wait()
            begin = max(self._queued_for_disk, self._written_count)
            end = self._written_count + len(self._entries)
            if begin == end:
                await asyncio.sleep(SPOOL_INTERVAL)
                continue
            new = self._entries[begin - self._written_count :]
            self._queued_for_disk = end
            try:
                async with self._disk_turn:
                    await self._spool.append(new)
                self._on_disk = end
                await asyncio.sleep(SPOOL_INTERVAL)
            except SpoolWriteFailed as exc:
                self._queued_for_disk = begin
                log.critical(
                    "spooling failed: %d journal entries in memory only: %s", self.depth, exc
                )
                await asyncio.sleep(DISK_RETRY_INTERVAL)

    async def _remove_spool(self) -> None:
        """Remove the spool once all of it is in the database, unless the disk hangs."""
        if self._is_behind_disk() or not self._spool.exists:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DISK_RETRY_INTERVAL), self._disk_turn:
                if not self._is_behind_disk():
                    await self._spool.remove()
                    self.report_drained()

    def report_drained(self) -> None:
        """Report that a spool is in the database."""
        if self._on_drained is not None:
            self._on_drained()

    async def flush(self) -> None:
        """Return when all entries so far are in the database."""
        self._write_at_once()
        await self._idle.wait()

    async def flush_or_spool(self) -> None:
        """Return when all entries so far are in the database, or at least spooled."""
        everything = self._written_count + len(self._entries)
        self._write_at_once()
        while max(self._written_count, self._on_disk) < everything:  # noqa: ASYNC110 two places, either will do
            await asyncio.sleep(SPOOL_INTERVAL)

    def _write_at_once(self) -> None:
        self._urgent.set()
        self._at_once.set()

    async def _wait_for_entries(self) -> None:
        await self._has_entries.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_INTERVAL):
                await self._urgent.wait()
                async with asyncio.timeout(URGENT_FLUSH_TIMEOUT):
                    await self._at_once.wait()
        self._urgent.clear()
        self._at_once.clear()

    async def _write_with_retry(self, batch: Sequence[Entry]) -> None:
        """Write a batch, retrying until it succeeds; raises EntryRefused only."""
        delay = FIRST_DELAY
        late = asyncio.get_running_loop().call_later(SPOOL_AFTER, self._late.set)
        try:
            while True:
                try:
                    await self._write(batch)
                    return self._resolve_waiters(batch)
                except EntryRefused:
                    raise
                except OperationFailed as exc:
                    self._late.set()
                    log.error("journal write failed: %d entries wait: %s", self.depth, exc)
                    await asyncio.sleep(delay)
                    delay = min(delay * 2, LAST_DELAY)
        finally:
            late.cancel()

    def _resolve_waiters(self, batch: Sequence[Entry], fault: EntryRefused | None = None) -> None:
        """Resolve the futures of these entries."""
        for entry in batch if self._waiters else ():
            written = self._waiters.get(id(entry))
            if written is not None and not written.done():
                if fault is None:
                    written.set_result(None)
                else:
                    written.set_exception(fault)

    async def _write_one_by_one(self, batch: Sequence[Entry]) -> None:
        """Write entries one by one, quarantining the refused ones.

        With an opening all that follows of its appeal is quarantined, so that both can be written
        once its cause is put right: alone an outcome would be taken and change nothing.
        """
        for entry in batch:
            kind, appeal = TAGS[type(entry)], entry.appeal_id
            if isinstance(entry, OPENINGS):
                self._unopened.pop(appeal, None)
            follows = appeal in self._unopened
            try:
                if follows:
                    raise EntryRefused("its appeal was not opened")
                await self._write_with_retry([entry])
            except EntryRefused as exc:
                if isinstance(entry, OPENINGS):
                    self._unopened[appeal] = None
                    if len(self._unopened) > UNOPENED:
                        del self._unopened[next(iter(self._unopened))]
                level = logging.INFO if follows else logging.CRITICAL
                log.log(level, "journal entry quarantined: %s of appeal %s: %s", kind, appeal, exc)
                try:
                    await self._spool.quarantine(entry)
                except SpoolWriteFailed as fault:
                    log.critical("journal entry lost: %s of appeal %s: %s", kind, appeal, fault)
                self._resolve_waiters([entry], exc)


def _run(action: Callable[[], None]) -> None:
    action()
