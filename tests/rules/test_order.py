"""Who is served first."""

from hypothesis import given
from hypothesis import strategies as st

from callcenter.consultants.order import HEAD_START, score

ARRIVALS = st.floats(1.7e9, 2.0e9)
CALLERS = st.lists(st.tuples(ARRIVALS, st.booleans()), max_size=30)


@given(ARRIVALS, ARRIVALS, st.booleans())
def test_among_equally_urgent_callers_the_first_to_come_is_the_first_to_be_served(
    one: float, other: float, urgent: bool
) -> None:
    assert (score(one, urgent=urgent) < score(other, urgent=urgent)) == (one < other)


@given(ARRIVALS, st.floats(0, HEAD_START - 1))
def test_an_urgent_caller_goes_before_others_who_came_shortly_before(
    arrival: float, later: float
) -> None:
    assert score(arrival + later, urgent=True) < score(arrival, urgent=False)


@given(ARRIVALS, st.floats(HEAD_START + 1, 10 * HEAD_START))
def test_whoever_has_waited_long_is_not_overtaken_even_by_urgent_callers(
    arrival: float, later: float
) -> None:
    assert score(arrival, urgent=False) < score(arrival + later, urgent=True)


@given(ARRIVALS, ARRIVALS)
def test_a_message_stands_behind_every_caller_and_an_urgent_one_where_an_urgent_caller_would(
    left: float, came: float
) -> None:
    assert score(came, urgent=False) < score(left, urgent=False, behind=True)
    assert score(left, urgent=True, behind=True) == score(left, urgent=True)


@given(ARRIVALS, ARRIVALS, st.booleans())
def test_among_messages_the_urgent_is_first_then_the_first_that_was_left(
    one: float, other: float, urgent: bool
) -> None:
    mine = score(one, urgent=urgent, behind=True)
    ordinary = score(other, urgent=False, behind=True)
    assert (mine < ordinary) == (urgent or one < other)


@given(CALLERS, ARRIVALS, st.booleans())
def test_only_those_who_came_within_the_head_start_are_ever_served_before_somebody_earlier(
    others: list[tuple[float, bool]], arrival: float, urgent: bool
) -> None:
    mine = score(arrival, urgent=urgent)
    before = [at for at, is_urgent in others if score(at, urgent=is_urgent) < mine]
    assert all(at < arrival + HEAD_START for at in before)
