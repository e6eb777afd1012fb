"""Calls assembled from CEL lines, and their comparison with the register."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.telephony.reconciliation.cel import CelEvent
from callcenter.telephony.reconciliation.cel_calls import (
    CallRole,
    CelCall,
    CelCallBuilder,
    TalkSpan,
)
from callcenter.telephony.reconciliation.rules import (
    DiscrepancyKind,
    ReconciliationSnapshot,
    RegisteredCall,
    RegisteredRecording,
    find,
)

NOON = datetime(2026, 7, 1, 7, tzinfo=UTC)
DAY = timedelta(days=1)
CALLER, CALLED = "PJSIP/operator-0000000a", "PJSIP/network-0000000b"
CONSULTANT, CENTER = "PJSIP/201-0000000c", "PJSIP/unified-center-0000000d"
LONG = timedelta(seconds=3)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def line(
    seconds: float, event: str, leg: str, channel: str, call: str = "1.1", bridge: str = ""
) -> CelEvent:
    extra = {"bridge_id": bridge} if bridge else {}
    return CelEvent(at(seconds), event, leg, call, channel, "", extra)


def read(*lines: CelEvent) -> list[CelCall]:
    reading = CelCallBuilder()
    for each in lines:
        reading.take(each)
    return list(reading.calls())


# What the switch says


@pytest.mark.parametrize(
    ("endpoint", "role"),
    [
        ("operator", CallRole.IN),
        ("operator-kcell", CallRole.IN),
        ("operator-deadbeef", CallRole.IN),
        ("operators", CallRole.INSIDE),
    ],
)
def test_a_call_of_each_operator_came_in(endpoint: str, role: CallRole) -> None:
    channel = f"PJSIP/{endpoint}-0000000a"
    (call,) = read(line(0, "CHAN_START", "1.1", channel), line(0, "APP_START", "1.1", channel))
    assert call.role is role


def test_an_inbound_call_begins_and_ends_with_its_caller() -> None:
    (call,) = read(
        line(0, "CHAN_START", "1.1", CALLER),
        line(0, "APP_START", "1.1", CALLER),
        line(5, "CHAN_START", "called-a", CONSULTANT),
        line(6, "BRIDGE_ENTER", "1.1", CALLER, bridge="b"),
        line(7, "BRIDGE_ENTER", "called-a", CONSULTANT, bridge="b"),
        line(9, "BRIDGE_EXIT", "1.1", CALLER, bridge="b"),
        line(10, "CHAN_END", "1.1", CALLER),
        line(11, "CHAN_END", "called-a", CONSULTANT),
    )
    assert (call.role, call.began_at, call.ended_at) == (CallRole.IN, at(0), at(10))
    assert call.conversations == (TalkSpan(at(7), at(9), "201"),)
    assert call.legs == {"1.1", "called-a"}


def test_an_outbound_call_lasts_until_its_last_leg() -> None:
    (call,) = read(
        line(0, "CHAN_START", "1.1", CONSULTANT),
        line(1, "CHAN_START", "called-a", CALLED),
        line(2, "BRIDGE_ENTER", "called-a", CALLED, bridge="b"),
        line(2, "BRIDGE_ENTER", "1.1", CONSULTANT, bridge="b"),
        line(8, "CHAN_END", "1.1", CONSULTANT),
        line(9, "CHAN_END", "called-a", CALLED),
    )
    assert (call.role, call.ended_at) == (CallRole.OUT, at(9))
    assert call.conversations == (TalkSpan(at(2), at(8), "201"),)


def test_a_callback_is_outbound_before_a_consultant_is_there() -> None:
    (call,) = read(
        line(0, "CHAN_START", "called-a", CALLED, "called-a"),
        line(3, "CHAN_END", "called-a", CALLED, "called-a"),
    )
    assert (call.role, call.conversations) == (CallRole.OUT, ())


@pytest.mark.parametrize(
    ("leg", "channel", "event", "role"),
    [
        ("1.1", CONSULTANT, "APP_START", CallRole.CODE),
        ("called-a", CONSULTANT, "ANSWER", CallRole.INSIDE),
        ("2.2", "Snoop/called-a-0000000e", "ANSWER", CallRole.INSIDE),
        ("1.1", CALLER, "HANGUP", CallRole.INSIDE),
        ("1.1", CALLER, "APP_START", CallRole.IN),
    ],
)
def test_what_nobody_outside_had_part_in_needs_no_appeal(
    leg: str, channel: str, event: str, role: CallRole
) -> None:
    (call,) = read(
        line(0, "CHAN_START", leg, channel, leg),
        line(0, event, leg, channel, leg),
        line(1, "CHAN_END", leg, channel, leg),
    )
    assert call.role is role


def test_a_caller_on_hold_redirected_or_alone_is_not_talking() -> None:
    (call,) = read(
        line(0, "CHAN_START", "1.1", CALLER),
        line(1, "BRIDGE_ENTER", "1.1", CALLER, bridge="b"),
        line(2, "BRIDGE_ENTER", "called-b", CENTER, bridge="b"),
        line(4, "CHAN_END", "called-b", CENTER),
        line(5, "BRIDGE_ENTER", "called-a", CONSULTANT, bridge="other"),
    )
    assert call.conversations == ()


def test_a_call_under_which_the_switch_died_has_no_end() -> None:
    (call,) = read(
        line(0, "CHAN_START", "1.1", CALLER),
        line(1, "BRIDGE_ENTER", "1.1", CALLER, bridge="b"),
        line(2, "BRIDGE_ENTER", "called-a", CONSULTANT, bridge="b"),
        line(5, "APP_START", "1.1", CALLER),
    )
    assert (call.ended_at, call.conversations) == (None, (TalkSpan(at(2), at(5), "201"),))


LEGS = [("1.1", CALLER), ("called-a", CONSULTANT), ("called-b", CALLED), ("x", "odd")]
EVENTS = ["CHAN_START", "CHAN_END", "BRIDGE_ENTER", "BRIDGE_EXIT", "ANSWER", "odd", ""]


@given(st.lists(st.tuples(st.sampled_from(LEGS), st.sampled_from(EVENTS), st.sampled_from("bc"))))
def test_conversations_follow_one_another_whatever_the_lines(
    steps: Sequence[tuple[tuple[str, str], str, str]],
) -> None:
    lines = [line(n, event, *leg, bridge=bridge) for n, (leg, event, bridge) in enumerate(steps)]
    for call in read(*lines):
        times = [when for span in call.conversations for when in (span.began_at, span.ended_at)]
        assert times == sorted(times)
        assert all(call.began_at <= when <= call.last_at for when in times)


# What differs

SPANS = st.lists(st.integers(1, 300), min_size=2, max_size=8).map(
    lambda steps: [sum(steps[: n + 1]) for n in range(len(steps))]
)
JITTER = st.floats(-1.9, 1.9)
WAYS = st.sampled_from([CallRole.IN, CallRole.OUT, CallRole.CODE, CallRole.INSIDE])
UNANSWERED = st.booleans()


@st.composite
def agreeing(draw: st.DrawFn) -> ReconciliationSnapshot:
    """Calls of any kind and length, registered within what is tolerated."""
    switch, register, recordings = [], [], []
    connected: dict[UUID, list[datetime]] = {}
    for number in range(draw(st.integers(1, 4))):
        begin, *marks, end = (number * 10_000 + second for second in draw(SPANS))
        role, appeal_id = draw(WAYS), uuid4()
        talks = [
            TalkSpan(at(one), at(other), "201")
            for one, other in zip(marks[::2], marks[1::2], strict=False)
            if role in (CallRole.IN, CallRole.OUT)
        ]
        leg = f"{number}.1"
        call = CelCall(leg, role, frozenset({leg}), at(begin), at(end), at(end), tuple(talks))
        switch.append(call)
        if role in (CallRole.CODE, CallRole.INSIDE):
            continue
        unanswered = role is CallRole.OUT and not talks and draw(UNANSWERED)
        register.append(
            RegisteredCall(
                appeal_id,
                1 if role is CallRole.OUT else 0,
                f"callback-{number}" if unanswered else leg,
                at(begin + draw(JITTER)),
                at(end + draw(JITTER)),
                "not_reached" if unanswered else "talked",
            )
        )
        if talks:
            connected[appeal_id] = [talks[0].began_at + timedelta(seconds=draw(JITTER))]
            began_at, ended_at = talks[0].began_at, talks[-1].ended_at
            recordings.append(
                RegisteredRecording(
                    uuid4(), appeal_id, "stored", began_at, ended_at, ended_at - began_at
                )
            )
    return ReconciliationSnapshot(
        NOON - DAY, NOON + DAY, switch, set(), register, connected, recordings
    )


def kinds(snapshot: ReconciliationSnapshot) -> list[DiscrepancyKind]:
    return [each.kind for each in find(snapshot)]


@given(agreeing())
def test_what_agrees_has_no_difference(snapshot: ReconciliationSnapshot) -> None:
    assert find(snapshot) == []


@given(agreeing())
def test_every_call_that_the_register_lacks_is_found(snapshot: ReconciliationSnapshot) -> None:
    snapshot = replace(snapshot, register=[], recordings=[], connected={})
    outside = [call.call_id for call in snapshot.switch if call.role in (CallRole.IN, CallRole.OUT)]
    assert [each.subject for each in find(snapshot)] == outside
    assert set(kinds(snapshot)) <= {DiscrepancyKind.CALL_WITHOUT_APPEAL}


@given(agreeing())
def test_every_call_that_the_switch_lacks_is_found(snapshot: ReconciliationSnapshot) -> None:
    snapshot = replace(snapshot, switch=[], recordings=[])
    real = [row.call_id for row in snapshot.register if not row.call_id.startswith("callback-")]
    assert [each.subject for each in find(snapshot)] == real
    assert set(kinds(snapshot)) <= {DiscrepancyKind.APPEAL_WITHOUT_CALL}


def out(call_id: str, began: float) -> CelCall:
    """A call of ours of ten seconds."""
    ended_at = at(began + 10)
    return CelCall(call_id, CallRole.OUT, frozenset({call_id}), at(began), ended_at, ended_at, ())


def unwritten(call_id: str, began: float) -> RegisteredCall:
    """A call of ours that was ringing at the backup that was restored."""
    return RegisteredCall(uuid4(), 1, call_id, at(began), None, None)


def test_an_open_outbound_call_is_no_later_one() -> None:
    snapshot = ReconciliationSnapshot(
        NOON - DAY, NOON + DAY, [out("called-b", 3000)], set(), [unwritten("outgoing-1", 0)]
    )
    assert kinds(snapshot) == [DiscrepancyKind.CALL_WITHOUT_APPEAL]
    begun = replace(snapshot, switch=[out("called-a", 1), *snapshot.switch])
    assert [(each.kind, each.subject) for each in find(begun)] == [
        (DiscrepancyKind.CALL_WITHOUT_APPEAL, "called-b"),
        (DiscrepancyKind.CALL_NOT_ENDED, "called-a"),
    ]


def test_outbound_calls_are_matched_with_the_nearest() -> None:
    """The first had no leg yet when the switch or its controller died."""
    rows = [unwritten("outgoing-1", 0), unwritten("outgoing-2", 60)]
    snapshot = ReconciliationSnapshot(NOON - DAY, NOON + DAY, [out("called-b", 60.5)], set(), rows)
    assert [(each.kind, each.row) for each in find(snapshot)] == [
        (DiscrepancyKind.CALL_NOT_ENDED, rows[1])
    ]


def test_a_refused_call_needs_no_channel() -> None:
    row = RegisteredCall(uuid4(), 0, "refused-0a", NOON, NOON, "lost_to_a_fault")
    snapshot = ReconciliationSnapshot(
        NOON - DAY, NOON + DAY, switch=[], live_channels=None, register=[row]
    )
    assert find(snapshot) == []
    assert find(replace(snapshot, register=[replace(row, call_id="1.1")])) != []


@given(agreeing(), st.sampled_from(["gone", "failed", "fileless"]))
def test_every_long_conversation_that_is_not_recorded_is_found(
    snapshot: ReconciliationSnapshot, how: str
) -> None:
    recordings: Sequence[RegisteredRecording] = {
        "gone": [],
        "failed": [replace(each, state="failed") for each in snapshot.recordings],
        "fileless": [replace(each, length=None) for each in snapshot.recordings],
    }[how]
    long = [
        call.call_id
        for call in snapshot.switch
        for span in call.conversations
        if span.ended_at - span.began_at >= LONG
    ]
    found = find(replace(snapshot, recordings=recordings))
    unrecorded = [
        each for each in found if each.kind is DiscrepancyKind.CONVERSATION_WITHOUT_RECORDING
    ]
    assert [each.subject for each in unrecorded] == long
    fileless = [each for each in found if each.kind is DiscrepancyKind.RECORDING_WITHOUT_FILE]
    assert len(fileless) == (len(snapshot.recordings) if how == "fileless" else 0)
    assert len(found) == len(unrecorded) + len(fileless)


@given(agreeing(), st.floats(2.001, 1000))
def test_ends_off_by_more_than_two_seconds_are_found(
    snapshot: ReconciliationSnapshot, off: float
) -> None:
    rows = [
        replace(row, ended_at=call.ended_at + timedelta(seconds=off))
        for row in snapshot.register
        for call in snapshot.switch
        if call.call_id == row.call_id and call.ended_at is not None
    ]
    ids = {row.call_id for row in rows}
    switch = [call for call in snapshot.switch if call.call_id in ids]
    assert kinds(replace(snapshot, register=rows, switch=switch)) == [
        DiscrepancyKind.END_DISAGREES
    ] * len(rows)


@given(agreeing())
def test_what_goes_on_is_not_judged_yet(snapshot: ReconciliationSnapshot) -> None:
    going_on = [replace(call, ended_at=None) for call in snapshot.switch]
    legs = {leg for call in snapshot.switch for leg in call.legs}
    for live_channels in (legs, None):
        assert (
            find(
                replace(
                    snapshot,
                    switch=going_on,
                    live_channels=live_channels,
                    register=[],
                    recordings=[],
                )
            )
            == []
        )


def test_an_endless_call_unknown_to_asterisk_is_over() -> None:
    call = CelCall("1.1", CallRole.IN, frozenset({"1.1"}), NOON, at(5), None, ())
    snapshot = ReconciliationSnapshot(NOON, NOON + DAY, [call], set(), [])
    assert kinds(snapshot) == [DiscrepancyKind.CALL_WITHOUT_APPEAL]


def test_calls_of_other_days_are_not_judged() -> None:
    call = CelCall("1.1", CallRole.IN, frozenset({"1.1"}), NOON, at(5), at(5), ())
    row = RegisteredCall(uuid4(), 0, "2.2", NOON, at(5), "talked")
    assert kinds(ReconciliationSnapshot(NOON + DAY, NOON + 2 * DAY, [call], set(), [row])) == []
    assert kinds(ReconciliationSnapshot(NOON - DAY, NOON, [call], set(), [row])) == []


def talked(**changed: Any) -> ReconciliationSnapshot:
    appeal_id = UUID(int=1)
    spans = (TalkSpan(at(5), at(15), "201"),)
    call = CelCall("1.1", CallRole.IN, frozenset({"1.1"}), NOON, at(20), at(20), spans)
    row = RegisteredCall(appeal_id, 0, "1.1", NOON, at(20), "talked")
    recording = RegisteredRecording(
        UUID(int=2), appeal_id, "stored", at(5), at(15), timedelta(seconds=10)
    )
    snapshot = ReconciliationSnapshot(
        NOON - DAY, NOON + DAY, [call], set(), [row], {appeal_id: [at(5)]}, [recording]
    )
    return replace(snapshot, **changed)


def test_missing_and_invented_conversations_are_found() -> None:
    assert kinds(talked()) == []
    assert kinds(talked(connected={})) == [DiscrepancyKind.CONVERSATION_WITHOUT_MOMENT]
    assert kinds(talked(connected={UUID(int=1): [at(5), at(18)]})) == [
        DiscrepancyKind.MOMENT_WITHOUT_CONVERSATION
    ]


def test_an_empty_recording_has_no_file_and_misses_none() -> None:
    (recording,) = talked().recordings
    assert kinds(talked(recordings=[replace(recording, state="empty", length=None)])) == []


def test_an_erased_recording_has_no_file_and_misses_none() -> None:
    (recording,) = talked().recordings
    erased = replace(recording, state="erased", length=None)
    assert kinds(talked(recordings=[erased])) == []
    assert kinds(talked(recordings=[replace(erased, ended_at=at(25))])) == [
        DiscrepancyKind.RECORDING_TOO_LATE
    ]


def test_short_and_misplaced_recordings_are_found() -> None:
    (recording,) = talked().recordings
    short = replace(recording, length=timedelta(seconds=7))
    assert kinds(talked(recordings=[short])) == [DiscrepancyKind.TIMES_DISAGREE]
    begun_late = replace(recording, began_at=at(8), length=timedelta(seconds=7))
    assert kinds(talked(recordings=[begun_late])) == [
        DiscrepancyKind.CONVERSATION_WITHOUT_RECORDING
    ]
    elsewhere = replace(recording, id=UUID(int=3), began_at=at(-30), ended_at=at(-20))
    assert kinds(talked(recordings=[recording, elsewhere])) == [
        DiscrepancyKind.RECORDING_WITHOUT_CONVERSATION
    ]
    late = replace(recording, ended_at=at(25), length=timedelta(seconds=15))
    assert kinds(talked(recordings=[late])) == [DiscrepancyKind.RECORDING_TOO_LATE]
    endless = replace(recording, id=UUID(int=3), state="recording", ended_at=None)
    assert kinds(talked(recordings=[recording, endless])) == [DiscrepancyKind.RECORDING_NOT_ENDED]


def test_loose_files_and_unreadable_lines_are_differences() -> None:
    assert kinds(talked(unregistered_files=["a.raw"], unreadable_lines=2)) == [
        DiscrepancyKind.FILE_WITHOUT_RECORDING,
        DiscrepancyKind.LINES_UNREADABLE,
    ]


def test_a_recording_cut_by_asterisks_death_ends_with_its_file() -> None:
    snapshot = talked()
    (call,), (row,), (recording,) = snapshot.switch, snapshot.register, snapshot.recordings
    cut = replace(recording, length=timedelta(seconds=6))
    killed = {
        "switch": [replace(call, ended_at=None, conversations=())],
        "register": [replace(row, outcome="lost_to_a_fault")],
        "recordings": [cut],
    }
    assert DiscrepancyKind.RECORDING_TOO_LATE in kinds(talked(**killed))
    assert DiscrepancyKind.TIMES_DISAGREE not in kinds(talked(**killed))
