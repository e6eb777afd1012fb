"""From what was read to live figures: nothing counted twice, nothing lost, nothing guessed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.consultants.states import Duty, State
from callcenter.line.outcomes import Outcome
from callcenter.live.figures import (
    ABANDONED,
    BAR,
    BARS,
    DeskFigures,
    DeskNow,
    History,
    TodayNow,
    WaitingCall,
    figures,
)
from callcenter.live.wording import GROUPS, Wording
from callcenter.web.words import Words

NOW = 1_800_000_000.0

TELEPHONES = ("NOT_INUSE", "INUSE", "RINGING", "ONHOLD", "BUSY", "UNAVAILABLE", "UNKNOWN", "")

calls = st.builds(
    WaitingCall, st.sampled_from(("kk", "ru")), st.floats(NOW - 3600, NOW + 5, allow_nan=False)
)
duties = st.builds(
    Duty,
    extension=st.from_regex(r"[0-9]{3,6}", fullmatch=True),
    state=st.sampled_from(State),
    since=st.floats(0, NOW + 5),
    reason=st.none() | st.sampled_from(("lunch", "missed", "telephone")),
    by=st.just("desk"),
    telephone=st.sampled_from(TELEPHONES),
    after=st.none(),
    resting=st.booleans(),
)
speaking = st.sampled_from(((), ("kk",), ("ru",), ("kk", "ru")))


def desk(waiting: list[WaitingCall], at_work: list[Duty], spoken: object = None) -> DeskFigures:
    languages = spoken if isinstance(spoken, dict) else {}
    read = DeskNow(NOW, waiting, at_work, languages, 2, ())
    made = figures(NOW, read, None, ()).desk
    assert made is not None
    return made


@given(st.lists(calls))
def test_every_waiting_call_is_counted_once_and_the_longest_wait_is_somebodys(
    waiting: list[WaitingCall],
) -> None:
    made = desk(waiting, [])
    languages = [each.waiting for each in made.languages.values()]
    assert made.waiting.count == len(waiting) == sum(each.count for each in languages)
    known = [each.longest for each in languages if each.longest is not None]
    assert made.waiting.longest == max(known, default=None)
    for each in (made.waiting, *languages):
        assert (each.longest is None) == (each.count == 0)
        assert each.longest is None or each.longest >= 0


def test_the_longest_wait_is_in_whole_seconds_since_arrival() -> None:
    made = desk([WaitingCall("kk", NOW - 61.9), WaitingCall("ru", NOW - 3)], [])
    assert made.waiting.longest == 61
    assert made.languages["ru"].waiting.longest == 3


@given(st.lists(st.tuples(duties, speaking), unique_by=lambda each: each[0].extension))
def test_every_consultant_is_in_exactly_one_group_and_only_free_ones_can_take_calls(
    crew: list[tuple[Duty, tuple[str, ...]]],
) -> None:
    spoken = {duty.extension: languages for duty, languages in crew}
    made = desk([], [duty for duty, _ in crew], spoken)
    assert sum(made.groups.values()) == len(crew) == len(made.consultants)
    for each, (duty, _) in zip(made.consultants, crew, strict=True):
        is_free = duty.state is State.READY and duty.telephone == "NOT_INUSE" and not duty.resting
        assert (each.group == "free") == is_free
        assert (each.why is None) == is_free
        assert each.for_s >= 0
    for language, one in made.languages.items():
        assert one.free == sum(
            language in spoken[each.extension] for each in made.consultants if each.group == "free"
        )


def test_every_group_has_words_and_a_sign_of_its_own() -> None:
    made = desk([], [])
    assert set(made.groups) == set(GROUPS)
    assert len({sign for sign, _ in GROUPS.values()}) == len(GROUPS)


def test_calls_of_today_are_counted_by_what_became_of_them() -> None:
    outcomes = {None: 2, "talked": 7, "left_waiting": 3, "left_ringing": 1, "left_in_menu": 5}
    today = TodayNow(outcomes, answered=8, in_time=6, not_honoured=2, other_language=1)
    made = figures(NOW, None, today, ()).today
    assert made is not None
    assert (made.calls, made.in_progress, made.answered, made.answered_in_time) == (18, 2, 8, 6)
    assert made.abandoned == 4
    assert (made.language_not_honoured, made.other_language) == (2, 1)
    assert list(made.outcomes)[:2] == ["talked", "left_in_menu"]
    assert set(ABANDONED) <= {outcome.value for outcome in Outcome}


def test_what_was_not_read_is_not_known() -> None:
    made = figures(NOW, None, None, [None, 3])
    assert (made.desk, made.today, made.history) == (None, None, [None, 3])


@given(st.lists(st.tuples(st.floats(0, 900), st.none() | st.integers(0, 50)), max_size=200))
def test_the_history_has_the_most_of_each_ten_seconds_and_nothing_where_nothing_was_known(
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
    bars = Wording(Words("en")).bars(history)
    assert len(bars) == sum(count is not None for count in history)
    for bar in bars:
        assert 0 <= bar.x < 600
        assert 0 <= bar.y <= 100
        assert 0 < bar.height <= 100
        assert bar.y + bar.height == pytest.approx(100, abs=0.11)
