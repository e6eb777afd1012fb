"""What became of a call is put together from both telephones and the database."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.facts import Ring, Stored, facts, legs_of_callers, legs_of_rings
from tests.bench.overload import whom_they_met
from tests.bench.results import Recordings
from tests.bench.telephones import PlacedCall, RungLeg


def served(number: str = "+77010000001") -> PlacedCall:
    return PlacedCall(number, invite_at=10.0, answered_at=10.004, key_at=12.0, ended_at=16.0)


def talked(extension: str = "10000", at: float = 12.02, caller: str = "111") -> RungLeg:
    return RungLeg(extension, caller, at, acknowledged_at=at + 0.01, ended_at=16.0)


def test_a_served_call_has_its_latencies_and_no_fault() -> None:
    call, leg = served(), talked()
    (fact,) = facts([call], {call.number: [leg]}, {call.number: Stored(3.96, 1000)})
    assert fact.answer == pytest.approx(4.0)
    assert fact.ring == pytest.approx(20.0)
    assert fact.fault is None
    assert fact.size == 1000
    assert fact.short == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("legs", "stored", "fault"),
    [
        ([], Stored(None, 0), "no consultant"),
        ([RungLeg("10000", "111", 12.1)], Stored(None, 0), "no consultant"),
        ([talked()], None, "no record"),
        ([talked()], Stored(4.0, 1, "outcome lost_to_a_fault"), "outcome lost_to_a_fault"),
    ],
)
def test_what_went_wrong_is_named(legs: list[RungLeg], stored: Stored | None, fault: str) -> None:
    call = served()
    (fact,) = facts([call], {call.number: legs}, {} if stored is None else {call.number: stored})
    assert fact.fault == fault


def test_what_the_caller_noted_comes_first() -> None:
    call = PlacedCall("+77010000001", 10.0, fault="refused: 503")
    (fact,) = facts([call], {}, {})
    assert (fact.fault, fact.answer, fact.ring) == ("refused: 503", None, None)


def test_latency_counts_the_first_ring_and_length_the_heard_one() -> None:
    call = served()
    ignored = RungLeg("10000", "111", 12.01, ended_at=12.5)
    (fact,) = facts(
        [call], {call.number: [ignored, talked(at=12.6)]}, {call.number: Stored(3.39, 1)}
    )
    assert fact.ring == pytest.approx(10.0)
    assert fact.short == pytest.approx(0.0, abs=1e-6)


def test_a_conversation_ends_when_the_first_hangs_up() -> None:
    call, leg = served(), talked()
    leg.ended_at = 16.3  # the consultant is told later that the caller has gone
    (fact,) = facts([call], {call.number: [leg]}, {call.number: Stored(3.97, 1)})
    assert fact.short == pytest.approx(0.0, abs=1e-6)
    call.ended_at = 17.0  # the consultant hung up, and the caller stayed for a question
    (fact,) = facts([call], {call.number: [leg]}, {call.number: Stored(4.27, 1)})
    assert fact.short == pytest.approx(0.0, abs=1e-6)


def test_legs_that_show_the_caller_are_found_by_it() -> None:
    legs = [talked(caller="+77010000001"), talked(caller="+77010000002")]
    assert legs_of_callers(legs) == {"+77010000001": [legs[0]], "+77010000002": [legs[1]]}


calls_of_one_consultant = st.lists(
    st.tuples(st.sampled_from(["10000", "10001"]), st.floats(0, 0.2)), min_size=1, max_size=30
)


@given(calls_of_one_consultant)
def test_each_ring_finds_the_leg_that_it_caused(rings: list[tuple[str, float]]) -> None:
    """A consultant has one call at a time: the next ring comes after the last leg."""
    reported, legs, caused = [], [], {}
    for turn, (extension, delay) in enumerate(rings):
        at = turn * 1.0
        reported.append(Ring(str(turn), extension, at))
        legs.append(talked(extension, at + delay))
        caused[str(turn)] = [legs[-1]]
    assert legs_of_rings(reversed(reported), reversed(legs)) == caused


def test_a_leg_from_before_the_ring_belongs_to_nobody() -> None:
    early, mine = talked(at=3.0), talked(at=5.01)
    assert legs_of_rings([Ring("a", "10000", 5.0)], [early, mine]) == {"a": [mine]}
    assert legs_of_rings([Ring("a", "10000", 6.0)], [early, mine]) == {}


def test_a_ring_without_a_leg_takes_none_from_the_next() -> None:
    rings = [Ring("unreached", "10000", 5.0), Ring("served", "10000", 7.0)]
    mine = talked(at=7.02)
    assert legs_of_rings(rings, [mine]) == {"served": [mine]}


def test_an_empty_recording_of_a_moment_is_not_missing() -> None:
    call, leg = served(), talked()
    leg.ended_at = 12.05
    stored = {call.number: Stored.of("talked", "empty", None, 0)}
    made = facts([call], {call.number: [leg]}, stored)
    assert (Recordings.of(made).missing, Recordings.of(made).off) == (0, 0)
    met = whom_they_met([call], made, {}, set(), stored)
    assert (met.consultant, met.unrecorded) == (1, 0)


def test_an_empty_recording_of_a_long_conversation_is_seen() -> None:
    call = served()
    stored = {call.number: Stored.of("talked", "empty", None, 0)}
    made = facts([call], {call.number: [talked()]}, stored)
    assert (Recordings.of(made).missing, Recordings.of(made).off) == (0, 1)
    assert whom_they_met([call], made, {}, set(), stored).unrecorded == 1


@pytest.mark.parametrize("state", [None, "recording", "closed", "failed"])
def test_what_is_not_stored_is_missing(state: str | None) -> None:
    call = served()
    made = facts(
        [call], {call.number: [talked()]}, {call.number: Stored.of("talked", state, None, 0)}
    )
    assert Recordings.of(made).missing == 1
