"""When a line without calls is silent, by what came in the same stretch of earlier weeks."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from callcenter.wallboard.rules import LEAST_SILENCE, LEAST_WEEKS, USUAL_CALLS, is_line_silent

LONG = st.timedeltas(min_value=LEAST_SILENCE, max_value=timedelta(weeks=1))
BUSY = st.integers(USUAL_CALLS, 10_000)
QUIET = st.integers(0, USUAL_CALLS - 1)
COUNTS = st.lists(st.integers(0, 10_000), max_size=8)


@given(silence=LONG, busy=st.lists(BUSY, min_size=LEAST_WEEKS, max_size=8), data=st.data())
def test_silence_is_found_whatever_fewer_odd_weeks_had(
    silence: timedelta, busy: list[int], data: st.DataObject
) -> None:
    odd = data.draw(st.lists(QUIET, max_size=len(busy) - 1))  # outages, holidays
    assert is_line_silent(silence, data.draw(st.permutations(busy + odd)))


@given(silence=LONG, quiet=st.lists(QUIET, max_size=8), data=st.data())
def test_a_line_that_is_usually_quiet_is_never_silent(
    silence: timedelta, quiet: list[int], data: st.DataObject
) -> None:
    odd = data.draw(st.lists(BUSY, max_size=len(quiet)))  # storms of calls
    assert not is_line_silent(silence, data.draw(st.permutations(quiet + odd)))


@given(silence=LONG, few=st.lists(BUSY, max_size=LEAST_WEEKS - 1))
def test_few_weeks_say_nothing(silence: timedelta, few: list[int]) -> None:
    assert not is_line_silent(silence, few)


@given(silence=st.timedeltas(max_value=LEAST_SILENCE - timedelta(microseconds=1)), earlier=COUNTS)
def test_a_short_silence_says_nothing(silence: timedelta, earlier: list[int]) -> None:
    assert not is_line_silent(silence, earlier)


@given(silence=LONG, longer=LONG, earlier=COUNTS, data=st.data())
def test_what_is_silent_stays_so_as_time_goes_on(
    silence: timedelta, longer: timedelta, earlier: list[int], data: st.DataObject
) -> None:
    later = [count + data.draw(st.integers(0, 100)) for count in earlier]
    if is_line_silent(silence, earlier):
        assert is_line_silent(max(silence, longer), later)
