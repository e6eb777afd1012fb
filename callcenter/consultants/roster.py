"""Pushes the roster from PostgreSQL to the ACD: active consultants, languages, skills."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.consultants import state_history, store
from callcenter.consultants.redis_script import DistributorScript
from callcenter.consultants.rules.skills import format_skills
from callcenter.consultants.state_history import PresenceChange
from callcenter.consultants.store import Consultant
from callcenter.platform.storage.engine import unit_of_work

NO_STATES: Mapping[str, PresenceChange] = MappingProxyType({})


async def push_roster(
    script: DistributorScript,
    consultants: Iterable[Consultant],
    last_states: Mapping[str, PresenceChange],
    read_at: float,
) -> None:
    """Replace the roster in the ACD, unless it is older than that.

    `last_states` are the last states in the database, by extension: they count when Redis has lost
    its own, or has come back with older ones. `read_at` is when the roster began to be read, in
    epoch seconds by the clock of Redis: one that began later has all that was committed by then.
    Raises DistributorUnavailable.
    """
    fields = [f"{read_at:.6f}"]
    for each in consultants:
        fields += [
            each.extension,
            " ".join(each.languages),
            format_skills(each.skills),
            "browser" if each.in_browser else "",
            *_state_fields(last_states.get(each.extension)),
        ]
    await script("roster", *fields)


async def refresh_roster(engine: AsyncEngine, script: DistributorScript) -> None:
    """Push the roster as it is committed now. Raises DistributorUnavailable."""
    read_at = float(await script("now"))
    async with unit_of_work(engine) as connection:
        last_states = await state_history.last_changes(connection)
        consultants = await store.active(connection)
    await push_roster(script, consultants, last_states, read_at)


def _state_fields(last: PresenceChange | None) -> tuple[str, str, str]:
    if last is None:
        return "", "", ""
    return last.state.value, last.reason or "-", f"{last.at.timestamp():.6f}"
