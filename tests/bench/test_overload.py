"""Busy loops compete with a measured side, and whom callers met is counted honestly."""

import os
from collections import Counter

import psutil
import pytest

from tests.bench.facts import Stored, facts, legs_of_callers
from tests.bench.overload import Callers, Overload, busy_loops, placed_late, whom_they_met
from tests.bench.overload_curve import Curve
from tests.bench.results import Spread
from tests.bench.telephones import PlacedCall, RungLeg

BY_CONTROLLER, BY_FALLBACK, IN_ITS_QUEUE, IN_ANOTHER, CUT, RINGING = map(str, range(1, 7))


def test_busy_loops_share_no_session_with_telephones() -> None:
    before = set(psutil.Process().children())
    with busy_loops(2):
        loops = set(psutil.Process().children()) - before
        sessions = {os.getsid(each.pid) for each in loops}
    assert len(sessions) == 2
    assert os.getsid(0) not in sessions
    assert not any(each.is_running() for each in loops)


def test_lateness_of_telephones_is_of_the_latest_call() -> None:
    calls = [PlacedCall("+77010000001", at) for at in (100.0, 100.13, 100.2)]
    assert placed_late(calls, rate=10.0) == pytest.approx(30.0)


def test_caller_without_consultant_nor_fallback_queue_is_lost() -> None:
    calls = [
        PlacedCall(number, 1.0, 1.1, key_at=3.0, ended_at=13.0)
        for number in (BY_CONTROLLER, BY_FALLBACK, IN_ITS_QUEUE, IN_ANOTHER, CUT, RINGING)
    ]
    calls[4].fault = "the switch hung up"
    calls.append(PlacedCall("7", 1.0, fault="no answer in 10 s"))
    legs = {
        number: [RungLeg("201", "111", 4.0, 4.1, 13.0)] for number in (BY_CONTROLLER, CUT, RINGING)
    }
    stored = {
        BY_CONTROLLER: Stored(8.9, 1),
        BY_FALLBACK: Stored(None, 0),
        IN_ITS_QUEUE: Stored(None, 0),
        CUT: Stored(8.9, 1),
        RINGING: Stored(None, 0, "outcome left_ringing"),
    }
    of_fallback = legs_of_callers([RungLeg("202", BY_FALLBACK, 4.0, 4.1, 13.0)])
    met = whom_they_met(
        calls, facts(calls, legs, stored), of_fallback, {BY_FALLBACK, IN_ITS_QUEUE}, stored
    )
    assert (met.consultant, met.fallback, met.waited) == (3, 1, 1)
    assert met.lost == {"no consultant": 1, "outcome left_ringing": 1, "no answer in 10 s": 1}
    assert (met.cut, met.unregistered, met.unrecorded) == (1, 1, 1)
    assert met.blamed == (BY_FALLBACK, IN_ANOTHER, CUT, RINGING, "7")


def measured(side: str, rate: float, served: int, **lost: int) -> Overload:
    """100 calls of this side."""
    counts = {"cut": 0, "unregistered": 0, "unrecorded": 0} | lost
    met = Callers(served, 0, 0, Counter(), **counts, blamed=())
    return Overload(side, rate, 2, 100, met, Spread.of([1.0]), 0, 0.0, [])


def curve_of(ours_at_130: int, **lost: int) -> Curve:
    """Plain carries 20 a second; ours serves so many of 100 at 26."""
    alone = [
        *(measured("plain", 20, 100), measured("ours", 20, 100)),
        *(measured("plain", 26, 50), measured("ours", 26, ours_at_130)),
        *(measured("plain", 40, 10), measured("ours", 40, 10)),
    ]
    return Curve(20, alone, [measured("plain", 20, 10, cut=9), measured("ours", 20, 100, **lost)])


def test_ours_must_serve_nine_tenths_at_overload() -> None:
    assert curve_of(70).share_of_best == pytest.approx(0.91)
    assert curve_of(70).faults() == []
    assert curve_of(69).faults() == ["at 130 % ours serves 0.897 of plain's best, not 0.9"]


@pytest.mark.parametrize("lost", ["cut", "unregistered", "unrecorded"])
def test_ours_may_lose_nothing_beside_loops(lost: str) -> None:
    assert curve_of(70, **{lost: 1}).faults() == [
        "ours lost something at 20 a second beside 2 loops"
    ]
