"""History of consultants' states, and the reasons of pauses, in PostgreSQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, bindparam, func, literal, select, true, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.consultants.rules.states import PresenceState
from callcenter.consultants.tables import consultant, consultant_state, pause_reason
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.storage.engine import as_json, within

# One statement with one parameter, whatever the number of changes.
_SAVE = """
    INSERT INTO consultant_state (consultant_id, at, state, reason, changed_by)
    SELECT consultant.id, change.at, change.state, change.reason, change.changed_by
    FROM jsonb_to_recordset(CAST(%(changes)s AS jsonb))
        AS change (extension text, at timestamptz, state text, reason text, changed_by text)
        JOIN consultant USING (extension)
    ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class PresenceChange:
    """A consultant's state from `at` on. `by` is `self`, `desk` or `user:NAME`."""

    extension: str
    state: PresenceState
    reason: str | None
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class PauseReason:
    """A reason of a pause, from the center's list."""

    code: str
    name_kk: str
    name_ru: str


async def save(connection: AsyncConnection, changes: Sequence[PresenceChange]) -> None:
    """Save changes; may be repeated. Changes of unknown extensions are left out."""
    rows = [
        {
            "extension": change.extension,
            "at": change.at,
            "state": change.state,
            "reason": change.reason,
            "changed_by": change.by,
        }
        for change in changes
    ]
    await within(connection).run(_SAVE, changes=as_json(rows))


async def last_changes(connection: AsyncConnection) -> Mapping[str, PresenceChange]:
    """The last saved state of each consultant that has one, by extension."""
    newest = (
        select(consultant_state)
        .where(consultant_state.c.consultant_id == consultant.c.id)
        .order_by(consultant_state.c.at.desc())
        .limit(1)
        .lateral()
    )
    query = select(
        consultant.c.extension,
        newest.c.state,
        newest.c.reason,
        newest.c.at,
        newest.c.changed_by,
    ).join(newest, literal(True))
    rows = await connection.execute(query)
    return {
        row.extension: PresenceChange(
            row.extension, PresenceState(row.state), row.reason, row.at, row.changed_by
        )
        for row in rows
    }


StateTimes = dict[tuple[PresenceState, str | None], timedelta]  #: by state and reason


async def time_in_states(
    connection: AsyncConnection, extension: str, begin: datetime, end: datetime
) -> StateTimes:
    """The time that a consultant spent in each state, for each reason, from `begin` to `end`.

    The times add up to the whole: before the first change a consultant was signed out. The last
    state lasts until `end`, so do not ask about the future.
    """
    condition = consultant.c.extension == extension
    times = (await _read_times(connection, begin, end, condition)).get(extension, {})
    before_the_first = (end - begin) - sum(times.values(), timedelta())
    if before_the_first:
        nothing = (PresenceState.SIGNED_OUT, None)
        times[nothing] = times.get(nothing, timedelta()) + before_the_first
    return times


async def times_of_everyone(
    connection: AsyncConnection, begin: datetime, end: datetime
) -> dict[str, StateTimes]:
    """The same of each consultant who has a state then, without the time before the first."""
    return await _read_times(connection, begin, end, true())


async def _read_times(
    connection: AsyncConnection, begin: datetime, end: datetime, whose: ColumnElement[bool]
) -> dict[str, StateTimes]:
    states = consultant_state.alias()
    # Only the last change before, and not the years of them.
    before = (
        select(states.c.state, states.c.reason)
        .where(states.c.consultant_id == consultant.c.id, states.c.at <= begin)
        .order_by(states.c.at.desc())
        .limit(1)
        .lateral()
    )
    beginning = bindparam("begin", begin, type_=states.c.at.type)
    columns = (consultant.c.extension, states.c.state, states.c.reason, states.c.at)
    changes = union_all(
        select(consultant.c.extension, before.c.state, before.c.reason, beginning.label("at"))
        .join(before, true())
        .where(whose),
        select(*columns)
        .join_from(consultant, states, consultant.c.id == states.c.consultant_id)
        .where(whose, states.c.at > begin, states.c.at < end),
    ).subquery()
    following = func.lead(changes.c.at, 1, end)
    until = following.over(partition_by=changes.c.extension, order_by=changes.c.at)
    lasted = select(changes, until.label("until")).subquery()
    rows = await connection.execute(
        select(
            lasted.c.extension,
            lasted.c.state,
            lasted.c.reason,
            func.sum(lasted.c.until - lasted.c.at).label("length"),
        ).group_by(lasted.c.extension, lasted.c.state, lasted.c.reason)
    )
    times: dict[str, StateTimes] = {}
    for row in rows:
        if row.length:
            key = (PresenceState(row.state), row.reason)
            times.setdefault(row.extension, {})[key] = row.length
    return times


async def pause_reasons(connection: AsyncConnection) -> list[PauseReason]:
    """The reasons in use, by code."""
    rows = await connection.execute(
        select(pause_reason.c.code, pause_reason.c.name_kk, pause_reason.c.name_ru)
        .where(pause_reason.c.active)
        .order_by(pause_reason.c.code)
    )
    return [PauseReason(row.code, row.name_kk, row.name_ru) for row in rows]


async def check_reason(connection: AsyncConnection, code: str) -> str:
    """The code, if it is a reason in use. Raises InvalidRequest otherwise."""
    codes = [reason.code for reason in await pause_reasons(connection)]
    if code not in codes:
        raise InvalidRequest(f"the reason of a pause must be one of {', '.join(codes)}")
    return code
