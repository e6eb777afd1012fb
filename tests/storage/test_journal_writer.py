"""The journal in the tables: however its entries are cut into batches, and whatever dies."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from callcenter.appeals.calls import store as appeals
from callcenter.appeals.calls.outbound_calls import first_seq
from callcenter.appeals.rules.number import is_valid
from callcenter.consultants import store as consultants
from callcenter.platform.core.caller_id import parse_caller_id
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.storage.engine import unit_of_work
from callcenter.recordings import store as recordings
from callcenter.telephony.calls.journal.events import (
    BecameUrgent,
    CallClosed,
    CallOpened,
    ConsultantAssigned,
    Entry,
    EventRecorded,
    LanguageChosen,
    OutboundClosed,
    OutboundLegChanged,
    OutboundStarted,
    RecordingStarted,
    RecordingStopped,
)
from callcenter.telephony.calls.journal.journal import EntryRefused, Journal
from callcenter.telephony.calls.journal.spool import JournalSpool
from callcenter.telephony.calls.outcomes import CallEvent, Outcome, Urgency
from callcenter.telephony.controller.journal_writer import JournalWriter
from tests.appeals import newest_outgoing

NOON = datetime(2026, 7, 1, 7, tzinfo=UTC)


def story(call: int, consultant: UUID) -> list[Entry]:
    """All that is kept of one call, in its order."""
    appeal_id, recording_id = uuid4(), uuid4()
    at = [NOON + timedelta(seconds=call, milliseconds=step) for step in range(9)]
    moments = [
        CallEvent.RECEIVED,
        CallEvent.ANSWERED,
        CallEvent.LANGUAGE,
        CallEvent.CONNECTED,
        CallEvent.ENDED,
    ]
    happened = [
        EventRecorded(appeal_id, seq + 1, kind, at[seq]) for seq, kind in enumerate(moments)
    ]
    return [
        CallOpened(appeal_id, f"call-{appeal_id}", parse_caller_id(f"+7701000{call:04}"), at[0]),
        *happened[:2],
        LanguageChosen(appeal_id, "kk"),
        BecameUrgent(appeal_id, (Urgency.SILENT,)),
        LanguageChosen(appeal_id, "ru"),
        happened[2],
        BecameUrgent(appeal_id, (Urgency.SILENT, Urgency.DANGER)),
        ConsultantAssigned(appeal_id, consultant),
        happened[3],
        RecordingStarted(appeal_id, recording_id, consultant, f"{recording_id}.raw", at[4]),
        RecordingStopped(appeal_id, recording_id, at[5]),
        happened[4],
        CallClosed(appeal_id, Outcome.TALKED, at[6]),
        CallClosed(appeal_id, Outcome.FALLBACK, at[7]),  # the first outcome stays
    ]


def appeal_of(entries: Sequence[Entry]) -> UUID:
    return entries[0].appeal_id


async def hire(engine: AsyncEngine) -> UUID:
    async with unit_of_work(engine) as connection:
        aigul = await consultants.add(
            connection, extension="201", name="Айгүл", languages=["kk"], digest="0" * 32
        )
    return aigul.id


async def is_stored(engine: AsyncEngine, entries: Sequence[Entry], consultant: UUID) -> None:
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
    assert row.ended_at == next(e.at for e in entries if isinstance(e, CallClosed))
    assert [(e.seq, e.at, e.kind) for e in events] == [
        (e.seq, e.at, e.moment) for e in entries if isinstance(e, EventRecorded)
    ]
    ended = next(e.at for e in entries if isinstance(e, RecordingStopped))
    assert (recording.state, recording.ended_at) == ("closed", ended)
    assert recording.consultant_id == consultant


async def test_an_empty_recording_is_entered_however_entries_are_cut(engine: AsyncEngine) -> None:
    consultant, writing = await hire(engine), JournalWriter(engine)
    for call in range(4):
        entries = story(call, consultant)
        (begun,) = (e for e in entries if isinstance(e, RecordingStarted))
        detail: dict[str, str | bool | float] = {"recording": str(begun.recording_id)}
        empty = EventRecorded(begun.appeal_id, 99, CallEvent.RECORDING_EMPTY, begun.at, detail)
        at = entries.index(begun) + 1
        entries.insert(at, empty)
        for batch in (entries[: at + call - 1], entries[at + call - 1 :], entries):
            await writing.write(batch)
        async with unit_of_work(engine) as connection:
            (recording,) = await recordings.of_appeal(connection, begun.appeal_id)
        assert (recording.state, recording.ended_at) == ("empty", begun.at)
    await writing.close()


async def test_a_letters_urgency_stays_when_its_call_has_another(
    engine: AsyncEngine,
) -> None:
    """A call says what was urgent in it, and does not know what joins its appeal."""
    entries, writing = story(1, await hire(engine)), JournalWriter(engine)
    await writing.write(entries[:1])
    async with unit_of_work(engine) as connection:
        await appeals.add_urgencies(connection, appeal_id=appeal_of(entries), urgent=["danger"])
    for _ in range(2):
        await writing.write([BecameUrgent(appeal_of(entries), (Urgency.SILENT,))])
    await writing.close()
    async with unit_of_work(engine) as connection:
        row = await appeals.find_by_id(connection, appeal_of(entries))
    assert row is not None
    assert row.urgent == ["danger", "silent"]


async def test_however_entries_are_cut_and_repeated_the_same_is_stored(engine: AsyncEngine) -> None:
    consultant = await hire(engine)
    loop = asyncio.get_running_loop()
    writing = JournalWriter(engine)
    opened = 0

    async def written(order: Sequence[int], cuts: Sequence[int], again: bool) -> None:
        nonlocal opened
        left = [story(call, consultant) for call in range(max(order) + 1)]
        reported = [list(each) for each in left]
        entries = [left[call].pop(0) for call in order if left[call]]
        entries += [entry for rest in left for entry in rest]
        begin = 0
        for end in [*sorted(cut % len(entries) for cut in cuts), len(entries)]:
            for _ in range(2 if again else 1):
                await writing.write(entries[begin:end])
            begin = end
        for each in reported:
            await is_stored(engine, each, consultant)
        opened += len(reported)
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


async def test_a_refused_entry_does_not_hold_up_others(engine: AsyncEngine, tmp_path: Path) -> None:
    consultant = await hire(engine)
    good, bad = story(1, consultant), story(2, uuid4())  # nobody knows this consultant
    writing = JournalWriter(engine)
    with pytest.raises(EntryRefused):
        await writing.write([*good, *bad])
    journal = Journal(writing.write, JournalSpool(tmp_path, "line-1", 1024**2))
    for entry in (*bad, *good):
        journal.append(entry)
    running = asyncio.create_task(journal.run())
    await journal.flush()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await writing.close()
    await is_stored(engine, good, consultant)


async def test_an_entry_waits_for_a_database_that_is_not_ready(empty_database: str) -> None:
    """As while it is made anew for a restore."""
    engine = create_async_engine(make_url(empty_database).set(drivername="postgresql+psycopg"))
    writing = JournalWriter(engine)
    with pytest.raises(OperationFailed) as fault:
        await writing.write(story(1, uuid4()))
    assert not isinstance(fault.value, EntryRefused)
    await writing.close()
    await engine.dispose()


async def test_the_next_batch_is_written_after_a_closed_session(
    engine: AsyncEngine,
) -> None:
    consultant = await hire(engine)
    entries = story(1, consultant)
    writing = JournalWriter(engine)
    await writing.write(entries[:3])
    async with unit_of_work(engine) as connection:
        await connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    with pytest.raises(OperationFailed) as fault:
        await writing.write(entries[3:])
    assert not isinstance(fault.value, EntryRefused)
    await writing.write(entries[3:])
    await writing.close()
    await is_stored(engine, entries, consultant)


async def test_a_batch_that_is_cancelled_is_not_half_written(engine: AsyncEngine) -> None:
    consultant = await hire(engine)
    entries = story(1, consultant)
    writing = JournalWriter(engine)
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
    await is_stored(engine, entries, consultant)


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_call_begun_during_an_outage_gets_an_appeal(
    engine: AsyncEngine, at_once: bool
) -> None:
    consultant = await hire(engine)
    appeal_id, outgoing_id = uuid4(), uuid4()
    entries: list[Entry] = [
        OutboundStarted(appeal_id, outgoing_id, "leg", "102", consultant, NOON),
        EventRecorded(appeal_id, first_seq(1), CallEvent.CALLING, NOON),
        OutboundLegChanged(appeal_id, outgoing_id, "other leg"),
        ConsultantAssigned(appeal_id, consultant),
        OutboundClosed(appeal_id, outgoing_id, Outcome.TALKED, NOON + timedelta(minutes=1)),
    ]
    writing = JournalWriter(engine)
    for batch in [entries] if at_once else [[entry] for entry in entries]:
        for _ in range(2):
            await writing.write(batch)
    await writing.close()
    async with unit_of_work(engine) as connection:
        row = await appeals.find_by_id(connection, appeal_id)
        call = await newest_outgoing(connection, "102")
        events = await appeals.events(connection, appeal_id)
    assert row is not None
    assert call is not None
    assert (row.channel, row.outcome, row.consultant_extension) == ("outgoing", "talked", "201")
    assert (row.caller_number, row.received_at) == ("102", NOON)
    assert (call.id, call.call_id, call.outcome) == (outgoing_id, "other leg", "talked")
    assert [event.kind for event in events] == [CallEvent.CALLING]


async def test_entries_of_many_calls_share_a_batch(tmp_path: Path) -> None:
    batches: list[Sequence[Entry]] = []

    async def write(entries: Sequence[Entry]) -> None:
        batches.append(list(entries))

    journal = Journal(write, JournalSpool(tmp_path, "line-1", 1024**2))
    running = asyncio.create_task(journal.run())
    for call in range(10):
        journal.open_call(f"call-{call}", parse_caller_id("+77010000001"))
        await asyncio.sleep(0)  # a moment in which it could write
    await journal.flush()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert [len(batch) for batch in batches] == [20]
