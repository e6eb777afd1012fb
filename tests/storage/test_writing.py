"""The journal in the tables: however its entries are cut into batches, and whatever dies."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals import outgoing
from callcenter.appeals import store as appeals
from callcenter.appeals.callers import read_caller
from callcenter.appeals.number import is_valid
from callcenter.appeals.outgoing import first_moment
from callcenter.consultants import store as consultants
from callcenter.controller.writing import Writing
from callcenter.errors import WeFailed
from callcenter.line.backlog import Backlog
from callcenter.line.entries import (
    BecameUrgent,
    Closed,
    ConsultantSettled,
    Entry,
    Happened,
    LanguageSettled,
    Opened,
    OutgoingBegan,
    OutgoingCarried,
    OutgoingClosed,
    RecordingBegan,
    RecordingEnded,
)
from callcenter.line.journal import EntryRefused, Journal
from callcenter.line.outcomes import Moment, Outcome, Urgency
from callcenter.recordings import store as recordings
from callcenter.storage.engine import unit_of_work

NOON = datetime(2026, 7, 1, 7, tzinfo=UTC)


def story(call: int, consultant: UUID) -> list[Entry]:
    """All that is kept of one call, in its order."""
    appeal_id, recording_id = uuid4(), uuid4()
    at = [NOON + timedelta(seconds=call, milliseconds=step) for step in range(9)]
    moments = [Moment.RECEIVED, Moment.ANSWERED, Moment.LANGUAGE, Moment.CONNECTED, Moment.ENDED]
    happened = [Happened(appeal_id, seq + 1, kind, at[seq]) for seq, kind in enumerate(moments)]
    return [
        Opened(appeal_id, f"call-{appeal_id}", read_caller(f"+7701000{call:04}"), at[0]),
        *happened[:2],
        LanguageSettled(appeal_id, "kk"),
        BecameUrgent(appeal_id, (Urgency.SILENT,)),
        LanguageSettled(appeal_id, "ru"),
        happened[2],
        BecameUrgent(appeal_id, (Urgency.SILENT, Urgency.DANGER)),
        ConsultantSettled(appeal_id, consultant),
        happened[3],
        RecordingBegan(appeal_id, recording_id, consultant, f"{recording_id}.raw", at[4]),
        RecordingEnded(appeal_id, recording_id, at[5]),
        happened[4],
        Closed(appeal_id, Outcome.TALKED, at[6]),
        Closed(appeal_id, Outcome.FALLBACK, at[7]),  # the first outcome stays
    ]


def appeal_of(entries: Sequence[Entry]) -> UUID:
    return entries[0].appeal_id


async def hire(engine: AsyncEngine) -> UUID:
    async with unit_of_work(engine) as connection:
        aigul = await consultants.add(
            connection, extension="201", name="Айгүл", languages=["kk"], digest="0" * 32
        )
    return aigul.id


async def is_kept(engine: AsyncEngine, entries: Sequence[Entry], consultant: UUID) -> None:
    """Exactly what the story tells is in the tables."""
    async with unit_of_work(engine) as connection:
        (number,) = await connection.scalars(
            text("SELECT number FROM appeal WHERE id = :id"), {"id": appeal_of(entries)}
        )
        row = await appeals.find(connection, number)
        events = await appeals.events(connection, appeal_of(entries))
        (recording,) = await recordings.of_appeal(connection, appeal_of(entries))
    assert row is not None
    assert is_valid(row.number)
    assert (row.language, row.outcome, row.urgent) == ("ru", "talked", ["silent", "danger"])
    assert row.consultant_extension == "201"
    assert row.ended_at == next(e.at for e in entries if isinstance(e, Closed))
    assert [(e.seq, e.at, e.kind) for e in events] == [
        (e.seq, e.at, e.moment) for e in entries if isinstance(e, Happened)
    ]
    ended = next(e.at for e in entries if isinstance(e, RecordingEnded))
    assert (recording.state, recording.ended_at) == ("closed", ended)
    assert recording.consultant_id == consultant


async def test_however_entries_are_cut_and_repeated_the_same_is_kept(engine: AsyncEngine) -> None:
    consultant = await hire(engine)
    loop = asyncio.get_running_loop()
    writing = Writing(engine)
    opened = 0

    async def written(order: Sequence[int], cuts: Sequence[int], again: bool) -> None:
        nonlocal opened
        left = [story(call, consultant) for call in range(max(order) + 1)]
        told = [list(each) for each in left]
        entries = [left[call].pop(0) for call in order if left[call]]
        entries += [entry for rest in left for entry in rest]
        begin = 0
        for end in [*sorted(cut % len(entries) for cut in cuts), len(entries)]:
            for _ in range(2 if again else 1):
                await writing.write(entries[begin:end])
            begin = end
        for each in told:
            await is_kept(engine, each, consultant)
        opened += len(told)
        async with unit_of_work(engine) as connection:
            numbers = await connection.scalars(text("SELECT number FROM appeal ORDER BY number"))
            assert [int(each[2:9]) for each in numbers] == list(range(1, opened + 1))

    @settings_of_test
    @given(
        order=st.lists(st.integers(0, 3), min_size=1, max_size=60),
        cuts=st.lists(st.integers(0, 59), max_size=8),
        again=st.booleans(),
    )
    def same(order: list[int], cuts: list[int], again: bool) -> None:
        asyncio.run_coroutine_threadsafe(written(order, cuts, again), loop).result(60)

    await asyncio.to_thread(same)
    await writing.close()


settings_of_test = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


async def test_a_bad_entry_is_refused_and_does_not_hold_up_the_others(
    engine: AsyncEngine, tmp_path: Path
) -> None:
    consultant = await hire(engine)
    good, bad = story(1, consultant), story(2, uuid4())  # nobody knows this consultant
    writing = Writing(engine)
    with pytest.raises(EntryRefused):
        await writing.write([*good, *bad])
    journal = Journal(writing.write, Backlog(tmp_path, "line-1", 1024**2))
    for entry in (*bad, *good):
        journal.put(entry)
    running = asyncio.create_task(journal.run())
    await journal.written()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await writing.close()
    await is_kept(engine, good, consultant)


async def test_after_the_database_ended_our_session_the_next_batch_is_written(
    engine: AsyncEngine,
) -> None:
    consultant = await hire(engine)
    entries = story(1, consultant)
    writing = Writing(engine)
    await writing.write(entries[:3])
    async with unit_of_work(engine) as connection:
        await connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    with pytest.raises(WeFailed) as fault:
        await writing.write(entries[3:])
    assert not isinstance(fault.value, EntryRefused)
    await writing.write(entries[3:])
    await writing.close()
    await is_kept(engine, entries, consultant)


async def test_a_batch_that_is_cancelled_is_not_half_written(engine: AsyncEngine) -> None:
    consultant = await hire(engine)
    entries = story(1, consultant)
    writing = Writing(engine)
    async with unit_of_work(engine) as connection:
        await connection.execute(text("LOCK TABLE appeal_event IN EXCLUSIVE MODE"))
        stuck = asyncio.create_task(writing.write(entries))
        waits = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        async with asyncio.timeout(10):
            while not await connection.scalar(waits):
                await asyncio.sleep(0.01)
        stuck.cancel()
        await asyncio.gather(stuck, return_exceptions=True)
    async with unit_of_work(engine) as connection:
        assert await connection.scalar(text("SELECT count(*) FROM appeal")) == 0
    await writing.write(entries)
    await writing.close()
    await is_kept(engine, entries, consultant)


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_call_that_began_while_the_database_was_away_is_written_with_an_appeal_of_its_own(
    engine: AsyncEngine, at_once: bool
) -> None:
    consultant = await hire(engine)
    appeal_id, outgoing_id = uuid4(), uuid4()
    entries: list[Entry] = [
        OutgoingBegan(appeal_id, outgoing_id, "leg", "102", consultant, NOON),
        Happened(appeal_id, first_moment(1), Moment.CALLING, NOON),
        OutgoingCarried(appeal_id, outgoing_id, "other leg"),
        ConsultantSettled(appeal_id, consultant),
        OutgoingClosed(appeal_id, outgoing_id, Outcome.TALKED, NOON + timedelta(minutes=1)),
    ]
    writing = Writing(engine)
    for batch in [entries] if at_once else [[entry] for entry in entries]:
        for _ in range(2):
            await writing.write(batch)
    await writing.close()
    async with unit_of_work(engine) as connection:
        row = await appeals.by_id(connection, appeal_id)
        call = await outgoing.last_to(connection, "102")
        events = await appeals.events(connection, appeal_id)
    assert row is not None
    assert call is not None
    assert (row.channel, row.outcome, row.consultant_extension) == ("outgoing", "talked", "201")
    assert (row.caller_number, row.received_at) == ("102", NOON)
    assert (call.id, call.call_id, call.outcome) == (outgoing_id, "other leg", "talked")
    assert [event.kind for event in events] == [Moment.CALLING]


async def test_entries_of_many_calls_share_a_batch(tmp_path: Path) -> None:
    batches: list[Sequence[Entry]] = []

    async def write(entries: Sequence[Entry]) -> None:
        batches.append(list(entries))

    journal = Journal(write, Backlog(tmp_path, "line-1", 1024**2))
    running = asyncio.create_task(journal.run())
    for call in range(10):
        journal.opened(f"call-{call}", read_caller("+77010000001"))
        await asyncio.sleep(0)  # a moment in which it could write
    await journal.written()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert [len(batch) for batch in batches] == [20]
