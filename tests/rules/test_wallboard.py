"""From what was read to live figures: nothing counted twice, nothing lost, nothing guessed."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.consultants.rules.states import PresenceState, PresenceStatus
from callcenter.platform.core.i18n import Translator
from callcenter.platform.monitoring.severity import SEVERITY_ORDER
from callcenter.telephony.acd.alerts import NOBODY_SIGNED_IN, NOT_RECORDED, RECORDED_AGAIN
from callcenter.telephony.calls.outcomes import Outcome
from callcenter.wallboard.alert_groups import PASSING_SHOWN, group_alerts
from callcenter.wallboard.call_board import build_call_board
from callcenter.wallboard.labels import GROUPS, WallboardLabels
from callcenter.wallboard.rules import (
    ABANDONED,
    BAR,
    BARS,
    AppealSummary,
    DistributorFigures,
    DistributorSnapshot,
    History,
    TodayNow,
    WaitingCall,
    figures,
)

NOW = 1_800_000_000.0

TELEPHONES = ("NOT_INUSE", "INUSE", "RINGING", "ONHOLD", "BUSY", "UNAVAILABLE", "UNKNOWN", "")

calls = st.builds(
    WaitingCall, st.sampled_from(("kk", "ru")), st.floats(NOW - 3600, NOW + 5, allow_nan=False)
)
statuses = st.builds(
    PresenceStatus,
    extension=st.from_regex(r"[0-9]{3,6}", fullmatch=True),
    state=st.sampled_from(PresenceState),
    since=st.floats(0, NOW + 5),
    reason=st.none() | st.sampled_from(("lunch", "missed", "telephone")),
    by=st.just("desk"),
    telephone=st.sampled_from(TELEPHONES),
    after=st.none(),
    resting=st.booleans(),
)
speaking = st.sampled_from(((), ("kk",), ("ru",), ("kk", "ru")))


def distributor_figures(
    waiting: list[WaitingCall], at_work: list[PresenceStatus], spoken: object = None
) -> DistributorFigures:
    languages = spoken if isinstance(spoken, dict) else {}
    read = DistributorSnapshot(NOW, waiting, at_work, languages, 2, ())
    made = figures(NOW, read, None, (), 20).acd
    assert made is not None
    return made


@given(st.lists(calls))
def test_waiting_calls_are_counted_once_with_a_real_longest_wait(
    waiting: list[WaitingCall],
) -> None:
    made = distributor_figures(waiting, [])
    languages = [each.waiting for each in made.languages.values()]
    assert made.waiting.count == len(waiting) == sum(each.count for each in languages)
    existing = [each.longest for each in languages if each.longest is not None]
    assert made.waiting.longest == max(existing, default=None)
    for each in (made.waiting, *languages):
        assert (each.longest is None) == (each.count == 0)
        assert each.longest is None or each.longest >= 0


def test_the_longest_wait_is_in_whole_seconds_since_arrival() -> None:
    made = distributor_figures([WaitingCall("kk", NOW - 61.9), WaitingCall("ru", NOW - 3)], [])
    assert made.waiting.longest == 61
    assert made.languages["ru"].waiting.longest == 3


@given(st.lists(st.tuples(statuses, speaking), unique_by=lambda each: each[0].extension))
def test_every_consultant_is_in_exactly_one_group(
    crew: list[tuple[PresenceStatus, tuple[str, ...]]],
) -> None:
    spoken = {status.extension: languages for status, languages in crew}
    made = distributor_figures([], [status for status, _ in crew], spoken)
    assert sum(made.groups.values()) == len(crew) == len(made.consultants)
    for each, (status, _) in zip(made.consultants, crew, strict=True):
        is_free = (
            status.state is PresenceState.READY
            and status.telephone == "NOT_INUSE"
            and not status.resting
        )
        assert (each.group == "free") == is_free
        assert (each.why is None) == is_free
        assert each.for_s >= 0
    for language, one in made.languages.items():
        assert one.free == sum(
            language in spoken[each.extension] for each in made.consultants if each.group == "free"
        )


KINDS = [kind.key for kind in (NOT_RECORDED, NOBODY_SIGNED_IN, RECORDED_AGAIN)]
alerts = st.builds(
    lambda kind, at: json.dumps({"kind": kind, "language": "", "at": at}),
    st.sampled_from([*KINDS, "of_another_version"]),
    st.floats(NOW - 2 * PASSING_SHOWN, NOW),
)


@given(st.dictionaries(st.sampled_from("abcdef"), alerts), st.lists(alerts))
def test_every_open_alert_is_in_one_group(opened: dict[str, str], newest: list[str]) -> None:
    groups = group_alerts(newest, opened, {}, NOW)
    counted = [(each.kind, alert_id) for each in groups for alert_id in each.alerts]
    assert sorted(counted) == sorted((json.loads(opened[each])["kind"], each) for each in opened)
    grave = [SEVERITY_ORDER[each.severity] for each in groups]
    assert grave == sorted(grave)
    still_open = {each.kind for each in groups if each.id}
    for passing in (each for each in groups if not each.id):
        assert passing.kind not in still_open
        assert passing.since >= NOW - PASSING_SHOWN


urgencies = st.sampled_from(((), ("danger",), ("silent",)))


@given(st.lists(st.tuples(calls, urgencies)))
def test_who_is_in_danger_is_first_however_long_others_wait(
    waiting: list[tuple[WaitingCall, tuple[str, ...]]],
) -> None:
    queued = [replace(call, call=str(number)) for number, (call, _) in enumerate(waiting)]
    appeals = {
        str(number): AppealSummary(f"26-{number}", "kk", None, urgent)
        for number, (_, urgent) in enumerate(waiting)
    }
    read = DistributorSnapshot(NOW, queued, (), {}, 2, ())
    board = build_call_board(read, TodayNow({}, 0, 0, calls=appeals))
    assert board is not None
    marks = [each.urgent for each in board.waiting]
    assert marks == sorted(marks, reverse=True)
    for each in board.waiting:
        assert each.register is not None
        assert each.urgent == bool(each.register.urgent)
    lengths = [(not each.urgent, -each.for_s) for each in board.waiting]
    assert lengths == sorted(lengths)


def test_without_the_database_the_queue_says_who_goes_first() -> None:
    queued = [WaitingCall("kk", NOW - 60, "1"), WaitingCall("kk", NOW, "2", goes_first=True)]
    board = build_call_board(DistributorSnapshot(NOW, queued, (), {}, 2, ()), None)
    assert board is not None
    assert [each.call for each in board.waiting] == ["2", "1"]


def test_every_group_has_words_and_a_sign_of_its_own() -> None:
    made = distributor_figures([], [])
    assert set(made.groups) == set(GROUPS)
    assert len({sign for sign, _ in GROUPS.values()}) == len(GROUPS)


def test_calls_of_today_are_counted_by_what_became_of_them() -> None:
    outcomes = {None: 2, "talked": 7, "left_waiting": 3, "left_ringing": 1, "left_in_menu": 5}
    today = TodayNow(outcomes, answered=8, in_time=6, not_honoured=2, other_language=1, refused=3)
    made = figures(NOW, None, today, (), 20).today
    assert made is not None
    assert (made.calls, made.in_progress, made.answered, made.answered_in_time) == (18, 2, 8, 6)
    assert made.abandoned == 4
    assert (made.language_not_honoured, made.other_language) == (2, 1)
    assert made.refused == 3
    assert list(made.outcomes)[:2] == ["talked", "left_in_menu"]
    assert set(ABANDONED) <= {outcome.value for outcome in Outcome}


def test_what_was_not_read_has_no_figure() -> None:
    made = figures(NOW, None, None, [None, 3], 20)
    assert (made.acd, made.today, made.history) == (None, None, [None, 3])


@given(st.lists(st.tuples(st.floats(0, 900), st.none() | st.integers(0, 50)), max_size=200))
def test_history_has_ten_second_maxima_and_gaps_where_unknown(
    samples: list[tuple[float, int | None]],
) -> None:
    samples.sort(key=lambda sample: sample[0])
    history = History()
    for after, waiting in samples:
        history.put(NOW + after, waiting)
    end = NOW + 900
    bars = history.bars(end)
    assert len(bars) == BARS
    newest = end // BAR
    for n, bar in enumerate(bars):
        number = newest - BARS + 1 + n
        seen = [w for after, w in samples if (NOW + after) // BAR == number and w is not None]
        assert bar == max(seen, default=None)


@given(st.lists(st.none() | st.integers(0, 500), max_size=BARS))
def test_bars_stay_in_the_picture_and_unknown_times_have_none(history: list[int | None]) -> None:
    bars = WallboardLabels(Translator("en")).bars(history)
    assert len(bars) == sum(count is not None for count in history)
    for bar in bars:
        assert 0 <= bar.x < 600
        assert 0 <= bar.y <= 100
        assert 0 < bar.height <= 100
        assert bar.y + bar.height == pytest.approx(100, abs=0.11)
