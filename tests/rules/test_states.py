from itertools import product

import pytest

from callcenter.consultants.states import (
    MOVES,
    Duty,
    IllegalMove,
    State,
    check_move,
    why_no_calls,
)

TELEPHONES = ("", "UNAVAILABLE", "NOT_INUSE", "RINGING", "INUSE", "BUSY", "ONHOLD", "INVALID")


@pytest.mark.parametrize(("before", "after"), list(product(State, State)))
def test_a_move_that_is_not_in_the_table_names_both_states(before: State, after: State) -> None:
    if after in MOVES[before]:
        check_move(before, after)
    else:
        with pytest.raises(IllegalMove, match=rf"who is {before} cannot become {after}"):
            check_move(before, after)


def test_every_state_can_be_reached_and_left() -> None:
    assert set(MOVES) == set(State) == {after for afters in MOVES.values() for after in afters}
    for state, afters in MOVES.items():
        assert afters - {state}, state


def test_only_who_is_ready_begins_to_be_offered_calls() -> None:
    assert [state for state in State if State.OFFERED in MOVES[state]] == [State.READY]


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("telephone", TELEPHONES)
@pytest.mark.parametrize("resting", [False, True])
def test_whoever_gets_no_calls_is_told_why(state: State, telephone: str, resting: bool) -> None:
    duty = Duty("201", state, 0.0, None, "desk", telephone, None, resting)
    offered = state is State.READY and telephone == "NOT_INUSE" and not resting
    assert (why_no_calls(duty) is None) == offered
