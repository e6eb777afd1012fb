"""Beats: what a process does again and again falls together."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.platform.core import beats

MOMENTS = st.floats(0, 1e7)
INTERVALS = st.sampled_from((0.5, 1.0, 2.0, 5.0))


@given(MOMENTS, INTERVALS)
def test_beats_come_within_a_tenth_of_the_interval(now: float, interval: float) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: now)
        pause = beats.next_beat(interval) - now
    assert 0.099 * interval < pause < 1.101 * interval


@given(MOMENTS, INTERVALS)
def test_beats_of_multiples_fall_together(now: float, interval: float) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: now)
        rare = beats.next_beat(interval)
        patch.setattr(time, "monotonic", lambda: rare - 0.3)
        assert beats.next_beat(0.5) == pytest.approx(rare, abs=1e-6)
