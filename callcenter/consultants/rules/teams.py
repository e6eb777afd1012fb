"""Teams of consultants: they limit the conversations that a supervisor may join."""

from collections.abc import Mapping

from callcenter.platform.core.errors import InvalidRequest

LONGEST = 40  # characters of a name


def read_team(written: str) -> str | None:
    """Parse the name of a team as typed; None: no team. Raises InvalidRequest."""
    name = " ".join(written.split())
    if len(name) > LONGEST or not name.isprintable():
        raise InvalidRequest(f"the name of a team has {LONGEST} characters at most")
    return name or None


def select_same_team(own: str, teams: Mapping[str, str | None]) -> set[str]:
    """Extensions of the team of `own`: those that its supervisor may listen to.

    `teams` are those of everybody. Those without a team are one: where a center has no teams,
    supervisors hear everybody; where it has, a supervisor without a team hears nobody in one.
    """
    return {each for each, team in teams.items() if own in teams and team == teams[own]}
