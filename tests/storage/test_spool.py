"""The journal on disk: what waits for the database, whoever dies and whatever the file holds."""

import asyncio
import logging
import os
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.platform.core.caller_id import parse_caller_id
from callcenter.platform.core.errors import OperationFailed
from callcenter.telephony.calls.journal import journal, spool
from callcenter.telephony.calls.journal.codec import UnreadableLine, decode, encode
from callcenter.telephony.calls.journal.events import (
    BecameUrgent,
    CallbackClosed,
    CallbackRequested,
    CallClosed,
    CallOpened,
    ConsultantAssigned,
    Entry,
    EventRecorded,
    LanguageChosen,
    NumberSealed,
    OutboundClosed,
    OutboundLegChanged,
    OutboundStarted,
    RecordingStarted,
    RecordingStopped,
    VoicemailDiscarded,
    VoicemailRegistered,
)
from callcenter.telephony.calls.journal.journal import EntryRefused, Journal
from callcenter.telephony.calls.journal.replay import OrphanedJournalReplayer
from callcenter.telephony.calls.journal.spool import (
    JournalSpool,
    orphaned_spools,
    pending_spools,
    quarantined_files,
)
from callcenter.telephony.calls.outcomes import CallEvent, Outcome, Urgency

LIMIT = 1024**2
AT = datetime(2026, 7, 1, 7, 0, 0, 123456, tzinfo=UTC)
AN_ID = uuid4()
ALL_KINDS: list[Entry] = [
    CallOpened(AN_ID, "call-1", parse_caller_id("+77010000001"), AT),
    CallOpened(AN_ID, "call-2", parse_caller_id(None), AT),
    EventRecorded(AN_ID, 3, CallEvent.CHOICE, AT, {"choice": "0", "whole": True, "mark": 4.5}),
    LanguageChosen(AN_ID, "kk"),
    BecameUrgent(AN_ID, (Urgency.SILENT, Urgency.DANGER)),
    ConsultantAssigned(AN_ID, uuid4()),
    RecordingStarted(AN_ID, uuid4(), None, "a call-1.raw", AT),
    RecordingStopped(AN_ID, uuid4(), AT),
    CallbackRequested(AN_ID, uuid4(), "+77010000002", "ru", True, AT.timestamp(), AT),
    VoicemailRegistered(AN_ID, uuid4(), "ru", False, AT.timestamp(), AT),
    VoicemailDiscarded(AN_ID, uuid4(), AT),
    CallbackClosed(AN_ID, uuid4(), "kept", AT),
    CallClosed(AN_ID, Outcome.TALKED, AT),
    OutboundStarted(AN_ID, uuid4(), "leg", "102", uuid4(), AT),
    OutboundLegChanged(AN_ID, uuid4(), "other leg"),
    OutboundClosed(AN_ID, uuid4(), Outcome.NOT_REACHED, AT),
    NumberSealed(AN_ID, "YWdlLWVuY3J5cHRpb24=", "Law 000-V, article 1", AT),
]


class Database:
    """One that takes what it is given, or is away, or refuses; tests of the way to it need no more.

    The real one is in test_writing.py and in tests/calls.
    """

    def __init__(self, *, absent: bool = False) -> None:
        self.absent = absent
        self.refused: list[Entry] = []
        self.taken: list[Entry] = []
        self.slow = asyncio.Event()
        self.slow.set()

    async def write(self, entries: Sequence[Entry]) -> None:
        await self.slow.wait()
        if self.absent:
            raise OperationFailed("the database is away")
        if any(entry in self.refused for entry in entries):
            raise EntryRefused("the database refuses")
        self.taken += entries


@asynccontextmanager
async def running(database: Database, folder: Path, limit: int = LIMIT) -> AsyncIterator[Journal]:
    """The journal of a process that is killed at the end, as far as its file knows."""
    one = Journal(database.write, JournalSpool(folder, "line-1", limit))
    task = asyncio.create_task(one.run())
    yield one
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until_on_disk(one: Journal) -> None:
    async with asyncio.timeout(10):
        await one.flush_or_spool()


async def replayed(folder: Path) -> Database:
    """What reaches the database when the next life of the process takes what there is."""
    database = Database()
    async with running(database, folder) as one:
        replayer = OrphanedJournalReplayer(one, folder)
        async with asyncio.timeout(10):
            while pending_spools(folder):  # its dead writer may still hold the lock
                await replayer.replay(of="line-1")
                await one.flush()
                await asyncio.sleep(0.01)
    return database


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def moments(count: int, first: int = 1) -> list[Entry]:
    return [
        EventRecorded(AN_ID, seq, CallEvent.KEY, AT + timedelta(milliseconds=seq))
        for seq in range(first, first + count)
    ]


@pytest.mark.parametrize("entry", ALL_KINDS, ids=lambda entry: type(entry).__name__)
def test_every_kind_of_entry_is_read_as_it_was_written(entry: Entry) -> None:
    line = encode(entry)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode(line[:-1]) == entry


def test_no_kind_of_entry_is_missing_here() -> None:
    assert {type(entry) for entry in ALL_KINDS} == set(Entry.__args__)


@given(text=st.text())
def test_whatever_a_caller_sends_stays_on_one_line(text: str) -> None:
    entry = EventRecorded(AN_ID, 1, CallEvent.KEY, AT, {"key": text})
    try:
        line = encode(entry)
    except ValueError:  # half a surrogate pair, which no decoder of ours lets in
        return
    assert line.count(b"\n") == 1
    assert decode(line[:-1]) == entry


@given(line=st.binary(max_size=200))
def test_foreign_bytes_are_never_taken_for_an_entry(line: bytes) -> None:
    with pytest.raises(UnreadableLine):
        decode(line)


@given(at=st.integers(0, 200), bit=st.integers(0, 7))
def test_no_line_with_a_flipped_bit_is_an_entry(at: int, bit: int) -> None:
    line = bytearray(encode(ALL_KINDS[2])[:-1])
    line[at % len(line)] ^= 1 << bit
    with pytest.raises(UnreadableLine):
        decode(bytes(line))


async def test_a_healthy_database_costs_no_line_on_disk(tmp_path: Path) -> None:
    database = Database()
    async with running(database, tmp_path) as one:
        for entry in ALL_KINDS:
            one.append(entry)
            await asyncio.sleep(0.01)
        await one.flush()
    assert database.taken == ALL_KINDS
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("fault", ["away", "slow"])
async def test_entries_waiting_for_the_database_survive_a_death(tmp_path: Path, fault: str) -> None:
    database = Database(absent=fault == "away")
    if fault == "slow":
        database.slow.clear()
    folder = tmp_path / "journal"
    async with running(database, folder) as one:
        for entry in ALL_KINDS[:8]:
            one.append(entry)
        await until_on_disk(one)
        for entry in ALL_KINDS[8:]:
            one.append(entry)
        await until_on_disk(one)
        (file,) = pending_spools(folder)
        assert list(orphaned_spools(folder)) == []  # its writer lives
        assert (one.depth, one.on_disk) == (len(ALL_KINDS), file.stat().st_size)
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder, file)]
        assert modes == [0o700, 0o600]
    assert (await replayed(folder)).taken == ALL_KINDS
    assert files_in(folder) == []


async def test_the_spool_goes_in_order_when_the_database_returns(tmp_path: Path) -> None:
    database = Database(absent=True)
    reported = moments(1500)
    async with running(database, tmp_path) as one:
        for entry in reported[:700]:
            one.append(entry)
        await until_on_disk(one)
        database.absent = False
        for entry in reported[700:]:
            one.append(entry)
            if entry is reported[1100]:
                await asyncio.sleep(0)
        await one.flush()
        async with asyncio.timeout(10):
            while pending_spools(tmp_path):
                await asyncio.sleep(0.01)
        assert one.on_disk == 0
    assert database.taken == reported


async def test_spooled_and_later_entries_are_never_batched_together(tmp_path: Path) -> None:
    """Written again after a death, the older would undo the later."""
    database = Database(absent=True)
    batches: list[int] = []

    async def write(entries: Sequence[Entry]) -> None:
        await database.write(entries)
        batches.append(len(entries))

    one = Journal(write, JournalSpool(tmp_path, "line-1", LIMIT))
    task = asyncio.create_task(one.run())
    for entry in moments(10):
        one.append(entry)
    await until_on_disk(one)
    database.absent = False
    for entry in moments(5, first=11):  # nothing was awaited: the disk has not seen these
        one.append(entry)
    await one.flush()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert batches[0] == 10
    assert database.taken == moments(15)


async def test_a_line_cut_by_its_writers_death_is_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = b"".join(map(encode, ALL_KINDS))
    (tmp_path / "line-1.x.journal").write_bytes(whole + encode(ALL_KINDS[0])[:30])
    assert (await replayed(tmp_path)).taken == ALL_KINDS
    assert "spool truncated" in caplog.text
    assert quarantined_files(tmp_path) == []


async def test_who_shares_the_folder_can_replay_the_journal(tmp_path: Path) -> None:
    """Under systemd the worker is another user than the controllers, in their group."""
    (tmp_path / "aside").mkdir()
    for folder in (tmp_path, tmp_path / "aside"):
        folder.chmod(0o2770)
    before = os.umask(0o007)
    try:
        mine = JournalSpool(tmp_path, "line-1", LIMIT)
        await mine.append(ALL_KINDS[:1])
        await mine.quarantine(ALL_KINDS[0])
        mine.close()
    finally:
        os.umask(before)
    made = (*pending_spools(tmp_path), *quarantined_files(tmp_path))
    assert [stat.S_IMODE(each.stat().st_mode) for each in made] == [0o660, 0o660]


async def test_an_unreadable_line_is_quarantined_and_delays_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad = [b"", b"\x00" * 40, encode(ALL_KINDS[1])[9:-1], b"00000000 Opened {}"]
    lines = [encode(ALL_KINDS[0]), *(line + b"\n" for line in bad), encode(ALL_KINDS[2])]
    (tmp_path / "line-1.x.journal").write_bytes(b"".join(lines))
    assert (await replayed(tmp_path)).taken == [ALL_KINDS[0], ALL_KINDS[2]]
    (quarantined,) = quarantined_files(tmp_path)
    assert quarantined.read_bytes() == b"".join(lines[1:-1])
    assert "spool line quarantined: line 3 of line-1.x.journal" in caplog.text
    assert stat.S_IMODE(quarantined.stat().st_mode) == 0o600


async def test_what_the_database_refuses_is_quarantined_whole(tmp_path: Path) -> None:
    database = Database()
    database.refused = [ALL_KINDS[3]]
    async with running(database, tmp_path) as one:
        for entry in ALL_KINDS[:3] + ALL_KINDS[3:6]:
            one.append(entry)
        await one.flush()
    assert ALL_KINDS[3] not in database.taken
    (quarantined,) = quarantined_files(tmp_path)
    assert quarantined.read_bytes() == encode(ALL_KINDS[3])


async def test_a_full_journal_alerts_and_continues_in_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database(absent=True)
    line = len(encode(moments(1)[0]))
    caplog.set_level(logging.CRITICAL)
    async with running(database, tmp_path, limit=line * 10) as one:
        for entry in moments(8):
            one.append(entry)
        await until_on_disk(one)
        assert "spool nearly full" in caplog.text
        for entry in moments(5, first=11):
            one.append(entry)
        async with asyncio.timeout(10):
            while "spooling failed" not in caplog.text:
                await asyncio.sleep(0.01)
        database.absent = False
        await one.flush()
    assert database.taken == moments(8) + moments(5, first=11)


async def test_what_a_full_disk_took_half_of_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = JournalSpool(tmp_path, "line-1", LIMIT)
    await own.append(ALL_KINDS[:2])
    size = own.size

    def half(descriptor: int, data: bytes) -> None:
        os.write(descriptor, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(spool, "write_all", half)
        with pytest.raises(spool.SpoolWriteFailed, match="No space left"):
            await own.append(ALL_KINDS[2:4])
    assert own.size == size
    await own.append(ALL_KINDS[2:4])
    own.close()
    assert (await replayed(tmp_path)).taken == ALL_KINDS[:4]


async def test_others_replay_only_spools_of_absent_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "line-2.x.journal").write_bytes(encode(ALL_KINDS[0]))
    assert list(orphaned_spools(tmp_path, quiet=60)) == []
    assert list(orphaned_spools(tmp_path, of="line-1")) == []
    (orphans,) = orphaned_spools(tmp_path, of="line-2")
    assert list(orphaned_spools(tmp_path)) == []  # it has its heir
    orphans.release()
    database = Database()
    monkeypatch.setattr("callcenter.telephony.calls.journal.replay.QUIET_AFTER", 0.0)
    async with running(database, tmp_path) as one:
        heir = asyncio.create_task(OrphanedJournalReplayer(one, tmp_path).run())
        async with asyncio.timeout(10):
            while pending_spools(tmp_path):
                await asyncio.sleep(0.01)
        heir.cancel()
        await asyncio.gather(heir, return_exceptions=True)
    assert database.taken == ALL_KINDS[:1]


async def test_a_hanging_disk_delays_neither_calls_nor_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "DISK_RETRY_INTERVAL", 0.1)
    database = Database(absent=True)
    own = JournalSpool(tmp_path, "line-1", LIMIT)
    hangs = asyncio.Event()

    async def append(entries: Sequence[Entry]) -> None:
        await hangs.wait()

    monkeypatch.setattr(own, "append", append)
    one = Journal(database.write, own)
    task = asyncio.create_task(one.run())
    for entry in moments(3):
        one.append(entry)
    await asyncio.sleep(journal.SPOOL_AFTER)
    database.absent = False
    async with asyncio.timeout(10):
        await one.flush()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert database.taken == moments(3)
