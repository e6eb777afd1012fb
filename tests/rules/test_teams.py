"""Whose conversations a supervisor may hear."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.consultants.rules.teams import LONGEST, read_team, select_same_team
from callcenter.platform.core.errors import InvalidRequest

TEAMS = st.dictionaries(
    st.sampled_from(["201", "202", "203", "204"]), st.sampled_from([None, "a", "b"])
)


@given(TEAMS, st.sampled_from(["201", "202", "203", "999"]))
def test_a_supervisor_hears_their_own_team_and_nobody_else(
    teams: dict[str, str | None], own: str
) -> None:
    heard = select_same_team(own, teams)
    if own not in teams:
        assert heard == set()
    for each, team in teams.items():
        assert (each in heard) == (own in teams and team == teams[own])


def test_a_teams_name_is_one_line_or_none() -> None:
    assert read_team("  Night   shift ") == "Night shift"
    assert read_team(" ") is None
    for wrong in ("x" * (LONGEST + 1), "a\x00b"):
        with pytest.raises(InvalidRequest):
            read_team(wrong)
