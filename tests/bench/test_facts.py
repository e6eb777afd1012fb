"""What became of a call is put together from both telephones and the database."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.facts import Kept, Ring, facts, legs_of_callers, legs_of_rings
from tests.bench.telephones import PlacedCall, RungLeg


def served(number: str = "+77010000001") -> PlacedCall:
    return PlacedCall(number, invite_at=10.0, answered_at=10.004, key_at=12.0, ended_at=16.0)


def talked(extension: str = "10000", at: float = 12.02, caller: str = "111") -> RungLeg:
    return RungLeg(extension, caller, at, acknowledged_at=at + 0.01, ended_at=16.0)


def test_a_served_call_has_its_latencies_and_no_fault() -> None:
    call, leg = served(), talked()
    (fact,) = facts([call], {call.number: [leg]}, {call.number: Kept(3.96, 1000)})
    assert fact.answer == pytest.approx(4.0)
    assert fact.ring == pytest.approx(20.0)
    assert fact.fault is None
    assert fact.size == 1000
    assert fact.short == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("legs", "kept", "fault"),
    [
        ([], Kept(None, 0), "no consultant"),
        ([RungLeg("10000", "111", 12.1)], Kept(None, 0), "no consultant"),
        ([talked()], None, "no record"),
        ([talked()], Kept(4.0, 1, "outcome lost_to_a_fault"), "outcome lost_to_a_fault"),
    ],
)
def test_what_went_wrong_is_named(legs: list[RungLeg], kept: Kept | None, fault: str) -> None:
    call = served()
    (fact,) = facts([call], {call.number: legs}, {} if kept is None else {call.number: kept})
    assert fact.fault == fault


def test_what_the_caller_noted_comes_first() -> None:
    call = PlacedCall("+77010000001", 10.0, fault="refused: 503")
    (fact,) = facts([call], {}, {})
    assert (fact.fault, fact.answer, fact.ring) == ("refused: 503", None, None)


def test_the_first_ring_counts_for_the_latency_and_the_one_that_was_heard_for_the_length() -> None:
    call = served()
    ignored = RungLeg("10000", "111", 12.01, ended_at=12.5)
    (fact,) = facts([call], {call.number: [ignored, talked(at=12.6)]}, {call.number: Kept(3.39, 1)})
    assert fact.ring == pytest.approx(10.0)
    assert fact.short == pytest.approx(0.0, abs=1e-6)


def test_a_conversation_ends_when_the_first_of_the_two_hangs_up() -> None:
    call, leg = served(), talked()
    leg.ended_at = 16.3  # the consultant is told later that the caller has gone
    (fact,) = facts([call], {call.number: [leg]}, {call.number: Kept(3.97, 1)})
    assert fact.short == pytest.approx(0.0, abs=1e-6)
    call.ended_at = 17.0  # the consultant hung up, and the caller stayed for a question
    (fact,) = facts([call], {call.number: [leg]}, {call.number: Kept(4.27, 1)})
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
    told, legs, caused = [], [], {}
    for turn, (extension, delay) in enumerate(rings):
        at = turn * 1.0
        told.append(Ring(str(turn), extension, at))
        legs.append(talked(extension, at + delay))
        caused[str(turn)] = [legs[-1]]
    assert legs_of_rings(reversed(told), reversed(legs)) == caused


def test_a_leg_from_before_the_ring_belongs_to_nobody() -> None:
    early, mine = talked(at=3.0), talked(at=5.01)
    assert legs_of_rings([Ring("a", "10000", 5.0)], [early, mine]) == {"a": [mine]}
    assert legs_of_rings([Ring("a", "10000", 6.0)], [early, mine]) == {}
