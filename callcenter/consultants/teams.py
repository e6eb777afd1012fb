"""Teams of consultants: whose conversations a supervisor may be with."""

from collections.abc import Mapping

from callcenter.errors import AskedWrongly

LONGEST = 40  # characters of a name


def read_team(written: str) -> str | None:
    """The team that a person wrote; None: no team. Raises AskedWrongly."""
    name = " ".join(written.split())
    if len(name) > LONGEST or not name.isprintable():
        raise AskedWrongly(f"the name of a team has {LONGEST} characters at most")
    return name or None


def heard_by(own: str, teams: Mapping[str, str | None]) -> set[str]:
    """Whom the supervisor with this telephone may hear: those of the same team, by extension.

    `teams` are those of everybody. Those without a team are one: where a center has no teams,
    supervisors hear everybody; where it has, who was given none hears nobody who has one.
    """
    return {each for each, team in teams.items() if own in teams and team == teams[own]}
