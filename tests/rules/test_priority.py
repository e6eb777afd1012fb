"""Who is served first."""

from hypothesis import given
from hypothesis import strategies as st

from callcenter.telephony.acd.rules.priority import HEAD_START, score

#: In whole microseconds, as the register keeps them: a float of 3e9 tells no closer ones apart.
ARRIVALS = st.integers(1_700_000_000_000_000, 2_000_000_000_000_000).map(lambda each: each / 1e6)
CALLERS = st.lists(st.tuples(ARRIVALS, st.booleans()), max_size=30)


@given(ARRIVALS, ARRIVALS, st.booleans())
def test_equally_urgent_callers_are_served_in_order_of_arrival(
    one: float, other: float, urgent: bool
) -> None:
    assert (score(one, urgent=urgent) < score(other, urgent=urgent)) == (one < other)


@given(ARRIVALS, st.floats(0, HEAD_START - 1))
def test_an_urgent_caller_goes_before_others_who_came_shortly_before(
    arrival: float, later: float
) -> None:
    assert score(arrival + later, urgent=True) < score(arrival, urgent=False)


@given(ARRIVALS, st.floats(HEAD_START + 1, 10 * HEAD_START))
def test_long_waits_are_not_overtaken_even_by_urgent_callers(arrival: float, later: float) -> None:
    assert score(arrival, urgent=False) < score(arrival + later, urgent=True)


@given(CALLERS, ARRIVALS, st.booleans())
def test_only_the_head_start_ever_reorders_callers(
    others: list[tuple[float, bool]], arrival: float, urgent: bool
) -> None:
    mine = score(arrival, urgent=urgent)
    before = [at for at, is_urgent in others if score(at, urgent=is_urgent) < mine]
    assert all(at < arrival + HEAD_START for at in before)
