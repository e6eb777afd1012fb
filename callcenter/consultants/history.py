"""Who was in which state when, and the reasons of pauses, in PostgreSQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, func, literal, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.consultants.states import State
from callcenter.consultants.tables import consultant, consultant_state, pause_reason
from callcenter.errors import AskedWrongly

# One statement with one parameter, whatever the number of changes.
_KEEP = text(
    """
    INSERT INTO consultant_state (consultant_id, at, state, reason, changed_by)
    SELECT consultant.id, change.at, change.state, change.reason, change.changed_by
    FROM jsonb_to_recordset(:changes)
        AS change (extension text, at timestamptz, state text, reason text, changed_by text)
        JOIN consultant USING (extension)
    ON CONFLICT DO NOTHING
    """
).bindparams(bindparam("changes", type_=JSONB))


@dataclass(frozen=True, slots=True)
class Change:
    """A consultant is in this state from `at` on. `by` is `self`, `desk` or `user:NAME`."""

    extension: str
    state: State
    reason: str | None
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class PauseReason:
    """A reason that the center keeps."""

    code: str
    name_kk: str
    name_ru: str


async def keep(connection: AsyncConnection, changes: Sequence[Change]) -> None:
    """Write changes down; may be repeated. Changes of unknown extensions are left out."""
    rows = [
        {
            "extension": change.extension,
            "at": change.at.isoformat(),
            "state": change.state.value,
            "reason": change.reason,
            "changed_by": change.by,
        }
        for change in changes
    ]
    await connection.execute(_KEEP, {"changes": rows})


async def last_changes(connection: AsyncConnection) -> Mapping[str, Change]:
    """The last known state of everybody who has one, by extension."""
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
        row.extension: Change(row.extension, State(row.state), row.reason, row.at, row.changed_by)
        for row in rows
    }


async def time_in_states(
    connection: AsyncConnection, extension: str, begin: datetime, end: datetime
) -> dict[tuple[State, str | None], timedelta]:
    """How long a consultant was in each state, for each reason, from `begin` to `end`.

    The times add up to the whole: before the first change a consultant was signed out. The last
    state lasts until `end`, so do not ask about the future.
    """
    states = consultant_state.alias()
    of_consultant = (
        select(
            states.c.state,
            states.c.reason,
            states.c.at,
            func.lead(states.c.at).over(order_by=states.c.at).label("until"),
        )
        .join(consultant, consultant.c.id == states.c.consultant_id)
        .where(consultant.c.extension == extension, states.c.at < end)
        .subquery()
    )
    lasted = func.sum(
        func.least(func.coalesce(of_consultant.c.until, end), end)
        - func.greatest(of_consultant.c.at, begin)
    )
    rows = await connection.execute(
        select(of_consultant.c.state, of_consultant.c.reason, lasted.label("lasted"))
        .where(func.coalesce(of_consultant.c.until, end) > begin)
        .group_by(of_consultant.c.state, of_consultant.c.reason)
    )
    times = {(State(row.state), row.reason): row.lasted for row in rows}
    before_the_first = (end - begin) - sum(times.values(), timedelta())
    if before_the_first:
        nothing = (State.SIGNED_OUT, None)
        times[nothing] = times.get(nothing, timedelta()) + before_the_first
    return times


async def pause_reasons(connection: AsyncConnection) -> list[PauseReason]:
    """The reasons that may be given now, by code."""
    rows = await connection.execute(
        select(pause_reason.c.code, pause_reason.c.name_kk, pause_reason.c.name_ru)
        .where(pause_reason.c.active)
        .order_by(pause_reason.c.code)
    )
    return [PauseReason(row.code, row.name_kk, row.name_ru) for row in rows]


async def check_reason(connection: AsyncConnection, code: str) -> str:
    """The code, if the center keeps this reason of a pause; else AskedWrongly."""
    codes = [reason.code for reason in await pause_reasons(connection)]
    if code not in codes:
        raise AskedWrongly(f"the reason of a pause must be one of {', '.join(codes)}")
    return code
