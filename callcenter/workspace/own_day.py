"""Read model of a consultant's own day: calls, marks, hours, reminders and waiting work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.calls import statistics
from callcenter.appeals.followup import reminders_store
from callcenter.appeals.followup.reminders_store import DueReminder
from callcenter.appeals.search import worklists
from callcenter.appeals.search.worklists import WorkList, WorkListReader
from callcenter.consultants import state_history
from callcenter.consultants.rules.states import ENGAGED, PresenceState, is_recovery
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.identity.actor import Actor
from callcenter.platform.storage.engine import unit_of_work

#: Groups of the wallboard for states with a length; the telephone that rings is a part of talking.
_GROUPS: Mapping[PresenceState, str] = {
    PresenceState.READY: "free",
    PresenceState.WRAP_UP: "wrap_up",
    PresenceState.PAUSED: "paused",
    **dict.fromkeys(ENGAGED, "talking"),
}


@dataclass(frozen=True, slots=True)
class OwnDay:
    """Since midnight in Asia/Almaty; `times` are by group of the wallboard, recovery is apart."""

    calls: int
    marks: int
    average_mark: float | None
    times: Mapping[str, timedelta]
    recovery: timedelta
    reminders: Sequence[DueReminder]  #: due until midnight, and not done
    work: Sequence[tuple[WorkList, int]]  #: lists that are not empty


async def read_own_day(engine: AsyncEngine, actor: Actor, extension: str) -> OwnDay:
    """Read the day of a consultant until now."""
    now = datetime.now(UTC)
    midnight = now.astimezone(ZONE).replace(hour=0, minute=0, second=0, microsecond=0)
    reader = WorkListReader(actor.name, midnight.date(), now)
    async with unit_of_work(engine) as connection:
        calls, marks, marked = await statistics.count_own_calls(connection, extension, midnight)
        spent = await state_history.time_in_states(connection, extension, midnight, now)
        due = await reminders_store.list_due(connection, actor.name, midnight + timedelta(days=1))
        counted = await worklists.counts(connection, reader)
    times, recovery = dict.fromkeys(_GROUPS.values(), timedelta()), timedelta()
    for (state, reason), length in spent.items():
        if is_recovery(state, reason):
            recovery += length
        elif state in _GROUPS:
            times[_GROUPS[state]] += length
    return OwnDay(
        calls=calls,
        marks=marks,
        average_mark=round(marked / marks, 1) if marks else None,
        times=times,
        recovery=recovery,
        reminders=due,
        work=[(which, count) for which, count in counted.items() if count],
    )
