"""Where a call is: what another controller goes on from."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.telephony.calls.call_state import (
    CallStage,
    CallState,
    CallStateTracker,
    choose_state,
    from_json,
)
from callcenter.telephony.calls.journal.call_record import CallRecord
from callcenter.telephony.calls.journal.events import Entry, EventRecorded
from callcenter.telephony.calls.outcomes import CallEvent, Outcome


def test_call_state_follows_from_events_and_reads_back() -> None:
    stored: dict[str, CallState | None] = {}
    memory = CallStateTracker(CallState(str(uuid4())), stored.__setitem__, "leg")
    memory.update(language="ru")
    memory.apply_event(CallEvent.WAITING, {})
    memory.apply_event(CallEvent.CONNECTED, {"consultant": "201"})
    memory.apply_event(CallEvent.RECORDING_STARTED, {"recording": "r"})
    memory.apply_event(CallEvent.HELD, {"how": "key"})
    memory.apply_event(CallEvent.THIRD_PARTY_ANSWERED, {"consultant": "204"})
    now = memory.now
    assert (now.stage, now.language, now.consultant) == (CallStage.TALKING, "ru", "201")
    assert (now.is_aside, now.guest, now.recording, now.is_proved) == (True, "204", "r", True)
    assert now.waits_since is not None
    assert stored["leg"] == from_json(now.to_json()) == now
    memory.apply_event(CallEvent.TRANSFERRED, {"consultant": "204"})
    memory.apply_event(CallEvent.RECORDING_STOPPED, {"recording": "r"})
    assert (memory.now.consultant, memory.now.guest, memory.now.recording) == ("204", "", "")
    memory.clear()
    assert stored == {"leg": None}


@given(st.text())
def test_what_is_not_where_a_call_is_is_nothing(written: str) -> None:
    assert from_json(written) is None


@pytest.mark.parametrize(
    "written", ['{"appeal": "x"}', '{"stage": "flying"}', "[]", "1", '{"appeal": 1}', '{"new": 1}']
)
def test_what_a_later_version_stored_is_nothing(written: str) -> None:
    assert from_json(written) is None


class Entries:
    """A journal in memory."""

    def __init__(self) -> None:
        self.all: list[Entry] = []

    def append(self, entry: Entry) -> None:
        self.all.append(entry)

    async def append_durably(self, entry: Entry) -> None: ...

    def save_call_state(self, leg: str, state: CallState | None) -> None: ...


def test_a_cut_call_ends_no_earlier_than_its_last_event() -> None:
    entries = Entries()
    record = CallRecord(entries, uuid4())
    record.add_event(CallEvent.WAITING)
    record.set_end_time(datetime.now(UTC) - timedelta(seconds=1))
    record.close(Outcome.LOST_TO_A_FAULT)
    moments = [each.at for each in entries.all if isinstance(each, EventRecorded)]
    assert len(moments) == 2
    assert moments == sorted(moments)


def test_a_transfer_after_the_consultants_death_is_a_conversation() -> None:
    now = CallState(str(uuid4()))
    for event in (CallEvent.CONNECTED, CallEvent.CONSULTANT_LOST, CallEvent.TRANSFERRED):
        now = now.after(event, {"consultant": "201"}, 0.0)
    assert now.stage is CallStage.TALKING


APPEAL = str(uuid4())
WAITS = CallState(APPEAL, 7, stage=CallStage.WAITING, language="kk", urgencies=("danger",))
TALKS = replace(WAITS, stage=CallStage.TALKING, consultant="201", recording="r")
LOST = replace(TALKS, stage=CallStage.WAITING, recording="")
GREETED = CallState(APPEAL, 3)


@pytest.mark.parametrize(
    ("saved", "written", "others", "chosen"),
    [
        (TALKS, WAITS, ["201"], TALKS),
        (TALKS, WAITS, [], TALKS),
        (None, TALKS, ["201"], TALKS),
        (WAITS, None, ["201"], WAITS),
        (WAITS, TALKS, ["201"], TALKS),  # Redis is as it was before they talked
        (TALKS, replace(TALKS, consultant="202"), ["202"], replace(TALKS, consultant="202")),
        (LOST, TALKS, ["201"], LOST),  # the appeal does not have yet that 201 is lost
        (WAITS, GREETED, ["201"], WAITS),  # nor that the caller waits
        (LOST, TALKS, ["202"], LOST),
        (TALKS, WAITS, ["203"], TALKS),  # a supervisor
        (WAITS, replace(TALKS, guest="+7701***"), [None], replace(TALKS, guest="+7701***")),
    ],
)
def test_the_state_that_knows_who_is_there_is_chosen(
    saved: CallState | None, written: CallState | None, others: list[str | None], chosen: CallState
) -> None:
    assert choose_state(saved, written, others) == chosen


@pytest.mark.parametrize(
    ("recorded", "others", "stage", "consultant"),
    [
        (WAITS, ["201"], CallStage.TALKING, "201"),
        (WAITS, [None, "202"], CallStage.TALKING, "202"),  # who called somebody at once
        (LOST, ["202"], CallStage.TALKING, "202"),
        (LOST, ["201"], CallStage.WAITING, "201"),  # hung up in a moment
        (WAITS, [None], CallStage.REDIRECTED, ""),  # 1414
        (WAITS, [], CallStage.WAITING, ""),
        (TALKS, ["203"], CallStage.TALKING, "201"),  # a supervisor
    ],
)
def test_a_conversation_that_nobody_recorded_is_in_the_state(
    recorded: CallState, others: list[str | None], stage: CallStage, consultant: str
) -> None:
    state = recorded.with_unrecorded_start(others, 0.0)
    assert (state.stage, state.consultant) == (stage, consultant)
    assert (state is recorded) == (stage is recorded.stage)


def test_a_chosen_appeal_loses_nothing_that_was_saved() -> None:
    written = replace(TALKS, first=3, language="", urgencies=("silent",))
    chosen = choose_state(WAITS, written, ["201"])
    assert chosen is not None
    assert (chosen.first, chosen.language) == (7, "kk")
    assert chosen.urgencies == ("silent", "danger")
