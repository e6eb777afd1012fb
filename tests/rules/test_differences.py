"""What the switch's lines say of its calls, and what of it the register may not have."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.asterisk.ledger import Line
from callcenter.ledger.differences import Kind, Recorded, Registered, Told, find
from callcenter.ledger.heard import Reading, Span, SwitchCall, Way

NOON = datetime(2026, 7, 1, 7, tzinfo=UTC)
DAY = timedelta(days=1)
CALLER, CALLED = "PJSIP/operator-0000000a", "PJSIP/network-0000000b"
CONSULTANT, CENTER = "PJSIP/201-0000000c", "PJSIP/unified-center-0000000d"
LONG = timedelta(seconds=3)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def line(
    seconds: float, event: str, leg: str, channel: str, call: str = "1.1", bridge: str = ""
) -> Line:
    extra = {"bridge_id": bridge} if bridge else {}
    return Line(at(seconds), event, leg, call, channel, "", extra)


def read(*lines: Line) -> list[SwitchCall]:
    reading = Reading()
    for each in lines:
        reading.take(each)
    return list(reading.calls())


# What the switch says


def test_a_call_that_came_in_began_and_ended_with_its_caller() -> None:
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
    assert (call.way, call.began_at, call.ended_at) == (Way.IN, at(0), at(10))
    assert call.conversations == (Span(at(7), at(9), "201"),)
    assert call.legs == {"1.1", "called-a"}


def test_a_call_of_ours_lasts_until_its_last_leg_has_gone() -> None:
    (call,) = read(
        line(0, "CHAN_START", "1.1", CONSULTANT),
        line(1, "CHAN_START", "called-a", CALLED),
        line(2, "BRIDGE_ENTER", "called-a", CALLED, bridge="b"),
        line(2, "BRIDGE_ENTER", "1.1", CONSULTANT, bridge="b"),
        line(8, "CHAN_END", "1.1", CONSULTANT),
        line(9, "CHAN_END", "called-a", CALLED),
    )
    assert (call.way, call.ended_at) == (Way.OUT, at(9))
    assert call.conversations == (Span(at(2), at(8), "201"),)


def test_a_promised_callback_is_a_call_of_ours_before_a_consultant_is_there() -> None:
    (call,) = read(
        line(0, "CHAN_START", "called-a", CALLED, "called-a"),
        line(3, "CHAN_END", "called-a", CALLED, "called-a"),
    )
    assert (call.way, call.conversations) == (Way.OUT, ())


@pytest.mark.parametrize(
    ("leg", "channel", "event", "way"),
    [
        ("1.1", CONSULTANT, "APP_START", Way.CODE),
        ("called-a", CONSULTANT, "ANSWER", Way.INSIDE),
        ("2.2", "Snoop/called-a-0000000e", "ANSWER", Way.INSIDE),
        ("1.1", CALLER, "HANGUP", Way.INSIDE),
        ("1.1", CALLER, "APP_START", Way.IN),
    ],
)
def test_what_nobody_outside_had_part_in_needs_no_appeal(
    leg: str, channel: str, event: str, way: Way
) -> None:
    (call,) = read(
        line(0, "CHAN_START", leg, channel, leg),
        line(0, event, leg, channel, leg),
        line(1, "CHAN_END", leg, channel, leg),
    )
    assert call.way is way


def test_a_caller_on_hold_or_with_1414_or_alone_is_in_no_conversation() -> None:
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
    assert (call.ended_at, call.conversations) == (None, (Span(at(2), at(5), "201"),))


LEGS = [("1.1", CALLER), ("called-a", CONSULTANT), ("called-b", CALLED), ("x", "odd")]
EVENTS = ["CHAN_START", "CHAN_END", "BRIDGE_ENTER", "BRIDGE_EXIT", "ANSWER", "odd", ""]


@given(st.lists(st.tuples(st.sampled_from(LEGS), st.sampled_from(EVENTS), st.sampled_from("bc"))))
def test_whatever_the_lines_are_conversations_follow_one_another_within_the_call(
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
WAYS = st.sampled_from([Way.IN, Way.OUT, Way.CODE, Way.INSIDE])
UNANSWERED = st.booleans()


@st.composite
def agreeing(draw: st.DrawFn) -> Told:
    """Calls of any kind and length, registered within what is tolerated."""
    switch, register, recordings = [], [], []
    connected: dict[UUID, list[datetime]] = {}
    for number in range(draw(st.integers(1, 4))):
        begin, *marks, end = (number * 10_000 + second for second in draw(SPANS))
        way, appeal_id = draw(WAYS), uuid4()
        talks = [
            Span(at(one), at(other), "201")
            for one, other in zip(marks[::2], marks[1::2], strict=False)
            if way in (Way.IN, Way.OUT)
        ]
        leg = f"{number}.1"
        call = SwitchCall(leg, way, frozenset({leg}), at(begin), at(end), at(end), tuple(talks))
        switch.append(call)
        if way in (Way.CODE, Way.INSIDE):
            continue
        unanswered = way is Way.OUT and not talks and draw(UNANSWERED)
        register.append(
            Registered(
                appeal_id,
                1 if way is Way.OUT else 0,
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
                Recorded(uuid4(), appeal_id, "stored", began_at, ended_at, ended_at - began_at)
            )
    return Told(NOON - DAY, NOON + DAY, switch, set(), register, connected, recordings)


def kinds(told: Told) -> list[Kind]:
    return [each.kind for each in find(told)]


@given(agreeing())
def test_what_agrees_has_no_difference(told: Told) -> None:
    assert find(told) == []


@given(agreeing())
def test_every_call_that_the_register_lacks_is_found(told: Told) -> None:
    told = replace(told, register=[], recordings=[], connected={})
    outside = [call.call_id for call in told.switch if call.way in (Way.IN, Way.OUT)]
    assert [each.subject for each in find(told)] == outside
    assert set(kinds(told)) <= {Kind.CALL_WITHOUT_APPEAL}


@given(agreeing())
def test_every_call_that_the_switch_lacks_is_found(told: Told) -> None:
    told = replace(told, switch=[], recordings=[])
    real = [row.call_id for row in told.register if not row.call_id.startswith("callback-")]
    assert [each.subject for each in find(told)] == real
    assert set(kinds(told)) <= {Kind.APPEAL_WITHOUT_CALL}


@given(agreeing(), st.sampled_from(["gone", "failed", "fileless"]))
def test_every_long_conversation_that_is_not_recorded_is_found(told: Told, how: str) -> None:
    recordings: Sequence[Recorded] = {
        "gone": [],
        "failed": [replace(each, state="failed") for each in told.recordings],
        "fileless": [replace(each, length=None) for each in told.recordings],
    }[how]
    long = [
        call.call_id
        for call in told.switch
        for span in call.conversations
        if span.ended_at - span.began_at >= LONG
    ]
    found = find(replace(told, recordings=recordings))
    unrecorded = [each for each in found if each.kind is Kind.CONVERSATION_WITHOUT_RECORDING]
    assert [each.subject for each in unrecorded] == long
    fileless = [each for each in found if each.kind is Kind.RECORDING_WITHOUT_FILE]
    assert len(fileless) == (len(told.recordings) if how == "fileless" else 0)
    assert len(found) == len(unrecorded) + len(fileless)


@given(agreeing(), st.floats(2.001, 1000))
def test_every_end_that_is_off_by_more_than_two_seconds_is_found(told: Told, off: float) -> None:
    rows = [
        replace(row, ended_at=call.ended_at + timedelta(seconds=off))
        for row in told.register
        for call in told.switch
        if call.call_id == row.call_id and call.ended_at is not None
    ]
    ids = {row.call_id for row in rows}
    switch = [call for call in told.switch if call.call_id in ids]
    assert kinds(replace(told, register=rows, switch=switch)) == [Kind.END_DISAGREES] * len(rows)


@given(agreeing())
def test_what_goes_on_is_not_judged_yet(told: Told) -> None:
    going_on = [replace(call, ended_at=None) for call in told.switch]
    legs = {leg for call in told.switch for leg in call.legs}
    for live in (legs, None):
        assert find(replace(told, switch=going_on, live=live, register=[], recordings=[])) == []


def test_a_call_without_an_end_that_the_switch_does_not_have_is_over() -> None:
    call = SwitchCall("1.1", Way.IN, frozenset({"1.1"}), NOON, at(5), None, ())
    told = Told(NOON, NOON + DAY, [call], set(), [])
    assert kinds(told) == [Kind.CALL_WITHOUT_APPEAL]


def test_calls_of_other_days_are_not_judged() -> None:
    call = SwitchCall("1.1", Way.IN, frozenset({"1.1"}), NOON, at(5), at(5), ())
    row = Registered(uuid4(), 0, "2.2", NOON, at(5), "talked")
    assert kinds(Told(NOON + DAY, NOON + 2 * DAY, [call], set(), [row])) == []
    assert kinds(Told(NOON - DAY, NOON, [call], set(), [row])) == []


def talked(**changed: Any) -> Told:
    appeal_id = UUID(int=1)
    spans = (Span(at(5), at(15), "201"),)
    call = SwitchCall("1.1", Way.IN, frozenset({"1.1"}), NOON, at(20), at(20), spans)
    row = Registered(appeal_id, 0, "1.1", NOON, at(20), "talked")
    recording = Recorded(UUID(int=2), appeal_id, "stored", at(5), at(15), timedelta(seconds=10))
    told = Told(NOON - DAY, NOON + DAY, [call], set(), [row], {appeal_id: [at(5)]}, [recording])
    return replace(told, **changed)


def test_a_conversation_that_the_journal_lacks_is_found_and_one_that_it_made_up() -> None:
    assert kinds(talked()) == []
    assert kinds(talked(connected={})) == [Kind.CONVERSATION_WITHOUT_MOMENT]
    assert kinds(talked(connected={UUID(int=1): [at(5), at(18)]})) == [
        Kind.MOMENT_WITHOUT_CONVERSATION
    ]


def test_recordings_that_are_too_short_or_in_the_wrong_place_are_found() -> None:
    (recording,) = talked().recordings
    short = replace(recording, length=timedelta(seconds=7))
    assert kinds(talked(recordings=[short])) == [Kind.TIMES_DISAGREE]
    begun_late = replace(recording, began_at=at(8), length=timedelta(seconds=7))
    assert kinds(talked(recordings=[begun_late])) == [Kind.CONVERSATION_WITHOUT_RECORDING]
    elsewhere = replace(recording, id=UUID(int=3), began_at=at(-30), ended_at=at(-20))
    assert kinds(talked(recordings=[recording, elsewhere])) == [Kind.RECORDING_WITHOUT_CONVERSATION]
    late = replace(recording, ended_at=at(25), length=timedelta(seconds=15))
    assert kinds(talked(recordings=[late])) == [Kind.RECORDING_TOO_LATE]
    endless = replace(recording, id=UUID(int=3), state="recording", ended_at=None)
    assert kinds(talked(recordings=[recording, endless])) == [Kind.TIMES_DISAGREE]


def test_loose_files_and_unreadable_lines_are_differences() -> None:
    assert kinds(talked(loose=["a.raw"], unreadable=2)) == [
        Kind.FILE_WITHOUT_RECORDING,
        Kind.LINES_UNREADABLE,
    ]


def test_a_recording_that_was_cut_by_the_death_of_the_switch_ends_with_its_file() -> None:
    told = talked()
    (call,), (row,), (recording,) = told.switch, told.register, told.recordings
    cut = replace(recording, length=timedelta(seconds=6))
    killed = {
        "switch": [replace(call, ended_at=None, conversations=())],
        "register": [replace(row, outcome="lost_to_a_fault")],
        "recordings": [cut],
    }
    assert Kind.RECORDING_TOO_LATE in kinds(talked(**killed))
    assert Kind.TIMES_DISAGREE not in kinds(talked(**killed))
