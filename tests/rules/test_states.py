from itertools import product

import pytest

from callcenter.consultants.rules.states import (
    MOVES,
    IllegalPresenceChange,
    PresenceState,
    PresenceStatus,
    check_move,
    why_no_calls,
)

TELEPHONES = ("", "UNAVAILABLE", "NOT_INUSE", "RINGING", "INUSE", "BUSY", "ONHOLD", "INVALID")


@pytest.mark.parametrize(("before", "after"), list(product(PresenceState, PresenceState)))
def test_an_illegal_presence_change_names_both_states(
    before: PresenceState, after: PresenceState
) -> None:
    if after in MOVES[before]:
        check_move(before, after)
    else:
        with pytest.raises(IllegalPresenceChange, match=rf"who is {before} cannot become {after}"):
            check_move(before, after)


def test_every_state_can_be_reached_and_left() -> None:
    assert (
        set(MOVES) == set(PresenceState) == {after for afters in MOVES.values() for after in afters}
    )
    for state, afters in MOVES.items():
        assert afters - {state}, state


def test_only_who_is_ready_begins_to_be_offered_calls() -> None:
    assert [state for state in PresenceState if PresenceState.OFFERED in MOVES[state]] == [
        PresenceState.READY
    ]


@pytest.mark.parametrize("state", PresenceState)
@pytest.mark.parametrize("telephone", TELEPHONES)
@pytest.mark.parametrize("resting", [False, True])
def test_a_consultant_without_calls_reads_why(
    state: PresenceState, telephone: str, resting: bool
) -> None:
    status = PresenceStatus("201", state, 0.0, None, "desk", telephone, None, resting)
    offered = state is PresenceState.READY and telephone == "NOT_INUSE" and not resting
    assert (why_no_calls(status) is None) == offered
