"""What comes of the CEL log in a real PostgreSQL, from lines that Asterisk wrote.

No switch runs here, so a call without an end stays open; tests/calls has the whole of it.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text

from callcenter.appeals.calls import outbound_calls
from callcenter.appeals.calls import store as appeals
from callcenter.appeals.calls.store import AppealRow, EventRow
from callcenter.consultants import store as consultants
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.recordings import store as recordings
from callcenter.recordings.sealing.audio import FRAME_BYTES, RATE
from callcenter.recordings.sealing.worker import SealingWorker
from callcenter.recordings.store import RecordingRow
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from callcenter.telephony.reconciliation import store
from callcenter.telephony.reconciliation.backfill import FIRST_SEQ
from callcenter.telephony.reconciliation.cel_tail import cel_file_of
from callcenter.telephony.reconciliation.jobs import account_for_calls
from tests.appeals import opened
from tests.storage.recorded import (
    AUDIO,
    ENDED,
    KILLED,
    LEFT,
    LEFT_A_TALK,
    LINES,
    TALKED,
    account,
    everything,
    lines_of,
    outcomes,
    raw,
    write,
)


async def appeal_of(tools: WorkerResources, call_id: str) -> tuple[AppealRow, list[EventRow]]:
    async with unit_of_work(tools.engine) as connection:
        rows = await appeals.newest(connection, before=None, limit=100)
        (row,) = (row for row in rows if row.call_id == call_id)
        return row, await appeals.events(connection, row.id)


async def as_a_controller(
    tools: WorkerResources, call_id: str, moments: list[CallEvent], outcome: str | None
) -> None:
    """The appeal of a call as the controller that had it first wrote it."""
    at = datetime(2026, 11, 24, 15, 42, 43, tzinfo=UTC)
    async with unit_of_work(tools.engine) as connection:
        appeal_id = await opened(connection, at, number="+77010000001", call_id=call_id)
        events = [EventRow(appeal_id, seq, at, kind, {}) for seq, kind in enumerate(moments, 1)]
        await appeals.add_events(connection, events)
        if outcome is not None:
            await appeals.close_appeal(
                connection, appeal_id=appeal_id, outcome=outcome, ended_at=at
            )


async def test_every_call_that_ended_gets_its_appeal_with_original_times(
    tools: WorkerResources,
) -> None:
    async with unit_of_work(tools.engine) as connection:
        consultant = await consultants.add(
            connection, extension="1001", name="Айгүл", languages=["kk"], digest="0" * 32
        )
    write(tools, LINES)
    await account(tools)
    assert await outcomes(tools) == ENDED
    row, events = await appeal_of(tools, TALKED)
    assert (row.caller_kind, row.caller_number) == ("number", "+77010000001")
    assert row.consultant_extension == "1001"
    assert row.received_at == datetime(2026, 11, 24, 15, 42, 43, 439006, tzinfo=UTC)
    assert row.ended_at == datetime(2026, 11, 24, 15, 42, 46, 149958, tzinfo=UTC)
    assert [event.kind for event in events] == [
        "received",
        "fallback",
        "answered",
        "notice",
        "waiting",
        "connected",
        "recording_started",
        "recording_stopped",
        "ended",
    ]
    assert [event.at for event in events] == sorted(event.at for event in events)
    assert events[-1].detail == {"outcome": "fallback", "how": "recovered"}
    async with unit_of_work(tools.engine) as connection:
        (recording,) = await recordings.of_appeal(connection, row.id)
    assert (recording.state, recording.consultant_id) == ("closed", consultant.id)
    assert recording.spool_name == f"fallback-{TALKED}.raw"
    assert recording.started_at == events[5].at
    assert (recording.ended_at, recording.id) == (events[7].at, recording.id)
    assert events[6].detail == {"recording": str(recording.id)}


async def test_a_second_reading_changes_nothing(
    tools: WorkerResources,
) -> None:
    write(tools, LINES)
    await account(tools)
    before = await everything(tools)
    await account(tools)
    assert await everything(tools) == before
    async with unit_of_work(tools.engine) as connection:
        await connection.execute(text("DELETE FROM ledger_position"))
    raw(tools.settings, TALKED).unlink()  # kept as FLAC meanwhile
    raw(tools.settings, LEFT).write_bytes(AUDIO)
    before["files"] = [
        (f"fallback-{call_id}.raw", len(AUDIO)) for call_id in (LEFT_A_TALK, LEFT, KILLED)
    ]
    await account(tools)
    assert await everything(tools) == before


async def test_a_silent_recording_is_removed_a_missing_one_reported(
    tools: WorkerResources,
) -> None:
    raw(tools.settings, TALKED).unlink()
    write(tools, LINES)
    await account(tools)
    found = await everything(tools)
    assert {name for name, _ in found["files"]} == {
        f"fallback-{call_id}.raw" for call_id in (LEFT_A_TALK, KILLED)
    }
    row, events = await appeal_of(tools, TALKED)
    assert "recording_failed" in [event.kind for event in events]
    async with unit_of_work(tools.engine) as connection:
        (recording,) = await recordings.of_appeal(connection, row.id)
    assert recording.state == "closed"  # the job that keeps it says what is wrong


#: When the recorder of TALKED made its file, before the conversation.
MADE_AT = datetime(2026, 11, 24, 15, 42, 43, tzinfo=UTC)


def make_empty(file: Path, at: datetime) -> None:
    """An empty file that was made then, or written to in vain."""
    file.write_bytes(b"")
    os.utime(file, (at.timestamp(), at.timestamp()))


async def recording_of(tools: WorkerResources, call_id: str) -> tuple[RecordingRow, list[str]]:
    """The recording of a call, and the kinds of the events that tell of it."""
    row, events = await appeal_of(tools, call_id)
    async with unit_of_work(tools.engine) as connection:
        (recording,) = await recordings.of_appeal(connection, row.id)
    return recording, [each.kind for each in events if "recording" in each.detail]


async def test_a_conversation_without_a_packet_is_marked(tools: WorkerResources) -> None:
    make_empty(raw(tools.settings, TALKED), MADE_AT)
    write(tools, LINES)
    await account(tools)
    recording, kinds = await recording_of(tools, TALKED)
    assert (recording.state, recording.fault) == ("empty", None)
    assert recording.ended_at is not None
    assert kinds == ["recording_started", "recording_stopped", "recording_empty"]
    await SealingWorker(tools.settings, tools.engine).tidy()
    assert not raw(tools.settings, TALKED).exists()


@contextmanager
def no_room(file: Path) -> Iterator[None]:
    make_empty(file, MADE_AT + timedelta(seconds=3))  # during the conversation
    yield


@contextmanager
def still_open(file: Path) -> Iterator[None]:
    with file.open("wb"):
        make_empty(file, MADE_AT)
        yield


@pytest.mark.parametrize("fault", [no_room, still_open])
async def test_an_empty_file_without_proof_is_a_failure(
    tools: WorkerResources, fault: Callable[[Path], AbstractContextManager[None]]
) -> None:
    with fault(raw(tools.settings, TALKED)):
        write(tools, LINES)
        await account(tools)
    recording, kinds = await recording_of(tools, TALKED)
    assert (recording.state, kinds) == ("closed", ["recording_failed"])


async def test_an_empty_file_of_a_dead_asterisk_is_a_failure(
    tools: WorkerResources,
) -> None:
    make_empty(raw(tools.settings, KILLED), MADE_AT)
    write(tools, lines_of(KILLED))
    await account(tools)
    async with unit_of_work(tools.engine) as connection:
        await store.mark_over(connection, {KILLED})
    await account(tools)
    recording, kinds = await recording_of(tools, KILLED)
    assert (recording.state, kinds) == ("closed", ["recording_failed"])


async def test_nobody_is_accounted_for_before_the_grace_period_is_over(
    tools: WorkerResources,
) -> None:
    write(tools, lines_of(LEFT))
    await account_for_calls(tools, timedelta(hours=1))
    assert await outcomes(tools) == {}
    await account(tools)
    assert await outcomes(tools) == {LEFT: "fallback"}


async def test_no_call_is_registered_while_a_journal_waits(
    tools: WorkerResources,
) -> None:
    write(tools, LINES)
    journal = tools.settings.journals / "line-1.x.journal"
    journal.parent.mkdir(parents=True)
    journal.touch()
    await account(tools)
    assert await outcomes(tools) == {}
    journal.unlink()
    await account(tools)
    assert await outcomes(tools) != {}


async def test_a_call_without_end_waits_for_asterisks_word(
    tools: WorkerResources,
) -> None:
    write(tools, lines_of(KILLED))
    await account(tools)
    assert await outcomes(tools) == {}
    assert [call_id for call_id, _ in (await everything(tools))["open"]] == [KILLED]


async def test_a_talk_cut_by_asterisks_death_lasts_as_its_file(
    tools: WorkerResources,
) -> None:
    raw(tools.settings, KILLED).write_bytes(bytes(49 * RATE * FRAME_BYTES))
    write(tools, lines_of(KILLED))
    await account(tools)
    async with unit_of_work(tools.engine) as connection:
        await store.mark_over(connection, {KILLED})  # Asterisk has no channel of it any more
    await account(tools)
    row, events = await appeal_of(tools, KILLED)
    async with unit_of_work(tools.engine) as connection:
        (recording,) = await recordings.of_appeal(connection, row.id)
    assert recording.ended_at is not None
    assert recording.ended_at - recording.started_at == timedelta(seconds=49)
    assert row.ended_at == recording.ended_at
    assert [each.at for each in events] == sorted(each.at for each in events)
    assert row.outcome == Outcome.LOST_TO_A_FAULT


async def test_a_half_written_line_and_garbage_lose_no_call(tools: WorkerResources) -> None:
    lines = lines_of(LEFT)
    write(tools, [b"garbage\n", b"\x00\xff\n", *lines[:5], lines[5][:40]])
    await account(tools)
    write(tools, [lines[5][40:], b'{"eventtype":"RECEIVED"}\n', *lines[6:-1]])
    await account(tools)
    assert await outcomes(tools) == {LEFT: "fallback"}


async def test_a_call_in_two_files_is_one_call(tools: WorkerResources) -> None:
    lines, cel_log = lines_of(TALKED), cel_file_of(tools.settings)
    write(tools, lines[:10])
    await account(tools)
    write(tools, lines[10:15])
    cel_log.rename(cel_log.with_name("ledger.jsonl.1"))
    write(tools, lines[15:])
    await account(tools)
    _, events = await appeal_of(tools, TALKED)
    assert len(events) == 9


async def test_a_call_written_by_a_controller_stays_unchanged(tools: WorkerResources) -> None:
    await as_a_controller(tools, LEFT, [CallEvent.RECEIVED, CallEvent.ENDED], "left_in_menu")
    before = await everything(tools)
    write(tools, [each for each in lines_of(LEFT) if b"FALLBACK" not in each])
    await account(tools)
    after = await everything(tools)
    assert after | {"position": []} == before


@pytest.mark.parametrize("first", [0, 3])
async def test_a_controllers_call_is_forgotten_once_it_ends(
    tools: WorkerResources, first: int
) -> None:
    await as_a_controller(tools, LEFT, [CallEvent.RECEIVED, CallEvent.ENDED], "left_in_menu")
    lines = [each for each in lines_of(LEFT) if b"FALLBACK" not in each]
    for part, still_open in (lines[:first], {LEFT} if first else set()), (lines[first:], set()):
        write(tools, part)
        await account_for_calls(tools, timedelta(hours=1))
        assert {row.call_id for row in (await everything(tools))["open"]} == still_open


@pytest.mark.parametrize("outcome", ["fallback", "lost_to_a_fault", None])
async def test_an_appeal_gets_its_fallback_part_once(
    tools: WorkerResources, outcome: str | None
) -> None:
    given = [CallEvent.RECEIVED, CallEvent.ANSWERED, CallEvent.FALLBACK, CallEvent.ENDED]
    await as_a_controller(tools, TALKED, given, outcome)
    write(tools, lines_of(TALKED))
    await account(tools)
    row, events = await appeal_of(tools, TALKED)
    assert row.outcome == (outcome or "fallback")
    assert row.ended_at == datetime(2026, 11, 24, 15, 42, 46, 149958, tzinfo=UTC)
    assert [event.kind for event in events if event.seq < FIRST_SEQ] == given
    assert [event.kind for event in events if event.seq >= FIRST_SEQ] == [
        "answered",
        "notice",
        "waiting",
        "connected",
        "recording_started",
        "recording_stopped",
        "ended",
    ]
    before = await everything(tools)
    assert len(before["recordings"]) == 1
    await account(tools)
    assert await everything(tools) == before


@pytest.mark.parametrize("rung_back_first", [True, False])
async def test_outbound_calls_and_cel_take_no_events_of_another(
    tools: WorkerResources, rung_back_first: bool
) -> None:
    await as_a_controller(tools, TALKED, [CallEvent.RECEIVED, CallEvent.FALLBACK], "fallback")
    row, _ = await appeal_of(tools, TALKED)

    async def ring_back() -> None:
        now = datetime.now(UTC)
        async with unit_of_work(tools.engine) as connection:
            call = await outbound_calls.begin(
                connection,
                appeal_id=row.id,
                call_id="back",
                number="+77010000001",
                consultant_id=None,
                began_at=now,
            )
            moment = EventRow(row.id, call.first_seq, now, CallEvent.CALLING, {})
            await appeals.add_events(connection, [moment])

    if rung_back_first:
        await ring_back()
    write(tools, lines_of(TALKED))
    await account(tools)
    if not rung_back_first:
        await ring_back()
    _, events = await appeal_of(tools, TALKED)
    kinds = [event.kind for event in events]
    assert kinds[:3] == [CallEvent.RECEIVED, CallEvent.FALLBACK, CallEvent.ANSWERED]
    assert kinds[-2:] == [CallEvent.ENDED, CallEvent.CALLING]


async def test_an_unwritable_call_does_not_hold_up_others(
    tools: WorkerResources,
) -> None:
    await as_a_controller(tools, "other", [], "talked")
    row, _ = await appeal_of(tools, "other")
    async with unit_of_work(tools.engine) as connection:
        await recordings.begin(  # takes the name of the file
            connection,
            recording_id=uuid4(),
            appeal_id=row.id,
            consultant_id=None,
            spool_name=f"fallback-{TALKED}.raw",
            started_at=row.received_at,
        )
    write(tools, LINES)
    await account(tools)
    expected = {call_id: outcome for call_id, outcome in ENDED.items() if call_id != TALKED}
    assert await outcomes(tools) == expected | {"other": "talked"}
    assert {call_id for call_id, _ in (await everything(tools))["open"]} == {TALKED, KILLED}
