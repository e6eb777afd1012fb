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

from callcenter.appeals.callers import read_caller
from callcenter.errors import WeFailed
from callcenter.line import backlog, journal
from callcenter.line.backlog import Backlog, estates, set_aside, waiting
from callcenter.line.encoding import UnreadableLine, decode, encode
from callcenter.line.entries import (
    BecameUrgent,
    CallbackPromised,
    Closed,
    ConsultantSettled,
    Entry,
    Happened,
    LanguageSettled,
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
from callcenter.line.inheritance import Inheritance
from callcenter.line.journal import EntryRefused, Journal
from callcenter.line.outcomes import Moment, Outcome, Urgency

LIMIT = 1024**2
AT = datetime(2026, 7, 1, 7, 0, 0, 123456, tzinfo=UTC)
AN_ID = uuid4()
ALL_KINDS: list[Entry] = [
    Opened(AN_ID, "call-1", read_caller("+77010000001"), AT),
    Opened(AN_ID, "call-2", read_caller(None), AT),
    Happened(AN_ID, 3, Moment.CHOICE, AT, {"choice": "0", "whole": True, "mark": 4.5}),
    LanguageSettled(AN_ID, "kk"),
    BecameUrgent(AN_ID, (Urgency.SILENT, Urgency.DANGER)),
    ConsultantSettled(AN_ID, uuid4()),
    RecordingBegan(AN_ID, uuid4(), None, "a call-1.raw", AT),
    RecordingEnded(AN_ID, uuid4(), AT),
    CallbackPromised(AN_ID, uuid4(), "+77010000002", "ru", True, AT.timestamp(), AT),
    MessagePromised(AN_ID, uuid4(), "ru", False, AT.timestamp(), AT),
    MessageEmpty(AN_ID, uuid4(), AT),
    PromiseEnded(AN_ID, uuid4(), "kept", AT),
    Closed(AN_ID, Outcome.TALKED, AT),
    OutgoingBegan(AN_ID, uuid4(), "leg", "102", uuid4(), AT),
    OutgoingCarried(AN_ID, uuid4(), "other leg"),
    OutgoingClosed(AN_ID, uuid4(), Outcome.NOT_REACHED, AT),
]


class Database:
    """One that takes what it is given, or is away, or refuses; tests of the way to it need no more.

    The real one is in test_writing.py and in tests/calls.
    """

    def __init__(self, *, away: bool = False) -> None:
        self.away = away
        self.refused: list[Entry] = []
        self.taken: list[Entry] = []
        self.slow = asyncio.Event()
        self.slow.set()

    async def write(self, entries: Sequence[Entry]) -> None:
        await self.slow.wait()
        if self.away:
            raise WeFailed("the database is away")
        if any(entry in self.refused for entry in entries):
            raise EntryRefused("the database refuses")
        self.taken += entries


@asynccontextmanager
async def running(database: Database, folder: Path, limit: int = LIMIT) -> AsyncIterator[Journal]:
    """The journal of a process that is killed at the end, as far as its file knows."""
    one = Journal(database.write, Backlog(folder, "line-1", limit))
    task = asyncio.create_task(one.run())
    yield one
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until_on_disk(one: Journal) -> None:
    async with asyncio.timeout(10):
        await one.safe()


async def inherited(folder: Path) -> Database:
    """What reaches the database when the next life of the process takes what there is."""
    database = Database()
    async with running(database, folder) as one:
        inheritance = Inheritance(one, folder)
        async with asyncio.timeout(10):
            while waiting(folder):  # the dead one's thread may be about to let go of its file
                await inheritance.take(of="line-1")
                await one.written()
                await asyncio.sleep(0.01)
    return database


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def moments(count: int, first: int = 1) -> list[Entry]:
    return [
        Happened(AN_ID, seq, Moment.KEY, AT + timedelta(milliseconds=seq))
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
    entry = Happened(AN_ID, 1, Moment.KEY, AT, {"key": text})
    try:
        line = encode(entry)
    except ValueError:  # half a surrogate pair, which no decoder of ours lets in
        return
    assert line.count(b"\n") == 1
    assert decode(line[:-1]) == entry


@given(line=st.binary(max_size=200))
def test_what_we_have_not_written_is_never_taken_for_an_entry(line: bytes) -> None:
    with pytest.raises(UnreadableLine):
        decode(line)


@given(at=st.integers(0, 200), bit=st.integers(0, 7))
def test_no_line_with_a_wrong_bit_is_taken_for_an_entry(at: int, bit: int) -> None:
    line = bytearray(encode(ALL_KINDS[2])[:-1])
    line[at % len(line)] ^= 1 << bit
    with pytest.raises(UnreadableLine):
        decode(bytes(line))


async def test_a_healthy_database_costs_no_line_on_disk(tmp_path: Path) -> None:
    database = Database()
    async with running(database, tmp_path) as one:
        for entry in ALL_KINDS:
            one.put(entry)
            await asyncio.sleep(0.01)
        await one.written()
    assert database.taken == ALL_KINDS
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("fault", ["away", "slow"])
async def test_what_waits_for_the_database_survives_the_death_of_its_process(
    tmp_path: Path, fault: str
) -> None:
    database = Database(away=fault == "away")
    if fault == "slow":
        database.slow.clear()
    folder = tmp_path / "journal"
    async with running(database, folder) as one:
        for entry in ALL_KINDS[:8]:
            one.put(entry)
        await until_on_disk(one)
        for entry in ALL_KINDS[8:]:
            one.put(entry)
        await until_on_disk(one)
        (file,) = waiting(folder)
        assert list(estates(folder)) == []  # its writer lives
        assert (one.depth, one.on_disk) == (len(ALL_KINDS), file.stat().st_size)
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder, file)]
        assert modes == [0o700, 0o600]
    assert (await inherited(folder)).taken == ALL_KINDS
    assert files_in(folder) == []


async def test_when_the_database_is_back_the_file_goes_and_order_is_kept(tmp_path: Path) -> None:
    database = Database(away=True)
    told = moments(1500)
    async with running(database, tmp_path) as one:
        for entry in told[:700]:
            one.put(entry)
        await until_on_disk(one)
        database.away = False
        for entry in told[700:]:
            one.put(entry)
            if entry is told[1100]:
                await asyncio.sleep(0)
        await one.written()
        async with asyncio.timeout(10):
            while waiting(tmp_path):
                await asyncio.sleep(0.01)
        assert one.on_disk == 0
    assert database.taken == told


async def test_what_is_on_disk_and_what_came_later_are_never_in_one_batch(tmp_path: Path) -> None:
    """Written again after a death, the older would undo the later."""
    database = Database(away=True)
    batches: list[int] = []

    async def write(entries: Sequence[Entry]) -> None:
        await database.write(entries)
        batches.append(len(entries))

    one = Journal(write, Backlog(tmp_path, "line-1", LIMIT))
    task = asyncio.create_task(one.run())
    for entry in moments(10):
        one.put(entry)
    await until_on_disk(one)
    database.away = False
    for entry in moments(5, first=11):  # nothing was awaited: the disk has not seen these
        one.put(entry)
    await one.written()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert batches[0] == 10
    assert database.taken == moments(15)


async def test_a_line_that_was_cut_by_the_death_of_its_writer_is_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = b"".join(map(encode, ALL_KINDS))
    (tmp_path / "line-1.x.journal").write_bytes(whole + encode(ALL_KINDS[0])[:30])
    assert (await inherited(tmp_path)).taken == ALL_KINDS
    assert "killed there" in caplog.text
    assert set_aside(tmp_path) == []


async def test_what_cannot_be_read_is_set_aside_and_holds_up_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad = [b"", b"\x00" * 40, encode(ALL_KINDS[1])[9:-1], b"00000000 Opened {}"]
    lines = [encode(ALL_KINDS[0]), *(line + b"\n" for line in bad), encode(ALL_KINDS[2])]
    (tmp_path / "line-1.x.journal").write_bytes(b"".join(lines))
    assert (await inherited(tmp_path)).taken == [ALL_KINDS[0], ALL_KINDS[2]]
    (aside,) = set_aside(tmp_path)
    assert aside.read_bytes() == b"".join(lines[1:-1])
    assert "line 3 of line-1.x.journal is set aside" in caplog.text
    assert stat.S_IMODE(aside.stat().st_mode) == 0o600


async def test_what_the_database_refuses_is_set_aside_whole(tmp_path: Path) -> None:
    database = Database()
    database.refused = [ALL_KINDS[3]]
    async with running(database, tmp_path) as one:
        for entry in ALL_KINDS[:3] + ALL_KINDS[3:6]:
            one.put(entry)
        await one.written()
    assert ALL_KINDS[3] not in database.taken
    (aside,) = set_aside(tmp_path)
    assert aside.read_bytes() == encode(ALL_KINDS[3])


async def test_a_journal_at_its_limit_alarms_and_goes_on_in_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database(away=True)
    line = len(encode(moments(1)[0]))
    caplog.set_level(logging.CRITICAL)
    async with running(database, tmp_path, limit=line * 10) as one:
        for entry in moments(8):
            one.put(entry)
        await until_on_disk(one)
        assert "fills" in caplog.text
        for entry in moments(5, first=11):
            one.put(entry)
        async with asyncio.timeout(10):
            while "in memory alone" not in caplog.text:
                await asyncio.sleep(0.01)
        database.away = False
        await one.written()
    assert database.taken == moments(8) + moments(5, first=11)


async def test_what_a_full_disk_took_half_of_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Backlog(tmp_path, "line-1", LIMIT)
    await own.append(ALL_KINDS[:2])
    size = own.size

    def half(descriptor: int, data: bytes) -> None:
        os.write(descriptor, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(backlog, "_write_all", half)
        with pytest.raises(backlog.NotOnDisk, match="No space left"):
            await own.append(ALL_KINDS[2:4])
    assert own.size == size
    await own.append(ALL_KINDS[2:4])
    own.close()
    assert (await inherited(tmp_path)).taken == ALL_KINDS[:4]


async def test_others_inherit_only_when_nobody_of_that_name_has_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "line-2.x.journal").write_bytes(encode(ALL_KINDS[0]))
    assert list(estates(tmp_path, quiet=60)) == []
    assert list(estates(tmp_path, of="line-1")) == []
    (estate,) = estates(tmp_path, of="line-2")
    assert list(estates(tmp_path)) == []  # it has its heir
    estate.release()
    database = Database()
    monkeypatch.setattr("callcenter.line.inheritance.QUIET", 0.0)
    async with running(database, tmp_path) as one:
        heir = asyncio.create_task(Inheritance(one, tmp_path).run())
        async with asyncio.timeout(10):
            while waiting(tmp_path):
                await asyncio.sleep(0.01)
        heir.cancel()
        await asyncio.gather(heir, return_exceptions=True)
    assert database.taken == ALL_KINDS[:1]


async def test_a_disk_that_hangs_holds_up_neither_calls_nor_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "DISK_AGAIN", 0.1)
    database = Database(away=True)
    own = Backlog(tmp_path, "line-1", LIMIT)
    hangs = asyncio.Event()

    async def append(entries: Sequence[Entry]) -> None:
        await hangs.wait()

    monkeypatch.setattr(own, "append", append)
    one = Journal(database.write, own)
    task = asyncio.create_task(one.run())
    for entry in moments(3):
        one.put(entry)
    await asyncio.sleep(journal.LATE)
    database.away = False
    async with asyncio.timeout(10):
        await one.written()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert database.taken == moments(3)
