"""Demands in PostgreSQL: registering, moving and reading them."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.demands.matching import Wanted
from callcenter.demands.states import (
    PREPARING,
    State,
    Step,
    check_person,
    check_sender,
    move,
)
from callcenter.demands.tables import (
    IS_RUNNING,
    demand,
    demand_counter,
    demand_scan,
    demand_step,
)
from callcenter.errors import AskedWrongly
from callcenter.workdays.calendar import DAY, ZONE


@dataclass(frozen=True, slots=True)
class Letter:
    """A demand as it came. `term` and what is wanted were checked."""

    sender_kk: str
    sender_ru: str
    from_authority: bool
    letter_number: str
    letter_date: date
    ground: str
    signatory: str
    came_by: str
    hand_over_by: str
    received_at: datetime
    unit: str
    count: int | None
    due_at: datetime
    warn_at: datetime


@dataclass(frozen=True, slots=True)
class Scan:
    """The scan of a letter."""

    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class DemandRow:
    """A demand. The caller's number is personal data: never log it."""

    id: UUID
    number: str
    state: str
    version: int
    sender_kk: str
    sender_ru: str
    from_authority: bool
    letter_number: str
    letter_date: date
    ground: str
    signatory: str
    came_by: str
    hand_over_by: str
    received_at: datetime
    appeal_number: str | None
    caller_number: str | None
    extension: str | None
    since: datetime | None
    until: datetime | None
    unit: str
    count: int | None
    due_at: datetime
    warn_at: datetime
    refusal: str | None
    registered_at: datetime
    author: str

    @property
    def wanted(self) -> Wanted:
        return Wanted(
            self.appeal_number, self.caller_number, self.extension, self.since, self.until
        )


@dataclass(frozen=True, slots=True)
class StepRow:
    """A step that was made: the state after it, when (UTC), by whom and why."""

    ordinal: int
    step: str
    state: str
    at: datetime
    author: str
    reason: str


class SomebodyElse(AskedWrongly):
    """Somebody else has moved this demand since you looked at it: look at it again."""


_HELD_SINCE = text(
    """
    SELECT number FROM demand
    WHERE state = 'acknowledged'
        AND EXISTS (
            SELECT FROM demand_step WHERE demand_id = demand.id AND step = 'acknowledged'
                AND at < :moment
        )
        AND EXISTS (
            SELECT FROM recording_hold AS held
            WHERE held.reason = 'demand:' || number AND held.ended_at IS NULL
        )
    ORDER BY number
    """
)
_rows = select(*(demand.c[name] for name in DemandRow.__slots__))


async def register(
    connection: AsyncConnection, *, letter: Letter, wanted: Wanted, scan: Scan, author: str
) -> DemandRow:
    """Enter a demand with its letter: its first step. The number is the next of the year."""
    now = datetime.now(UTC)
    row = DemandRow(
        id=uuid4(),
        number=await _next_number(connection, now),
        state=State.REGISTERED.value,
        version=1,
        **{name: getattr(letter, name) for name in Letter.__slots__},
        **{name: getattr(wanted, name) for name in Wanted.__dataclass_fields__},
        refusal=None,
        registered_at=now,
        author=author,
    )
    values = {name: getattr(row, name) for name in DemandRow.__slots__}
    await connection.execute(insert(demand).values(values))
    await connection.execute(
        insert(demand_scan).values(
            demand_id=row.id,
            media_type=scan.media_type,
            sha256=hashlib.sha256(scan.content).hexdigest(),
            content=scan.content,
        )
    )
    about = f"{letter.letter_number}, {letter.letter_date:%d.%m.%Y}"
    await _note_step(connection, row, Step.REGISTERED, now, author, about)
    return row


async def take_step(
    connection: AsyncConnection,
    row: DemandRow,
    step: Step,
    *,
    author: str,
    reason: str,
    refusal: str | None = None,
) -> DemandRow:
    """Move a demand that `lock` gave. Raises IllegalMove, SamePerson or NotAuthorised."""
    after = move(State(row.state), step)
    check_sender(step, from_authority=row.from_authority)
    check_person(step, author, await preparers(connection, row.id))
    now = datetime.now(UTC)
    changed = await connection.execute(
        update(demand)
        .where(demand.c.id == row.id)
        .values(state=after.value, version=demand.c.version + 1, refusal=refusal)
        .returning(*_rows.selected_columns)
    )
    moved = DemandRow(*changed.one())
    await _note_step(connection, moved, step, now, author, reason)
    return moved


async def lock(
    connection: AsyncConnection, number: str, version: int | None = None
) -> DemandRow | None:
    """The demand of this number, for this transaction alone; None when there is none.

    Raises SomebodyElse when `version` is given and it was moved since.
    """
    query = _rows.where(demand.c.number == number).with_for_update()
    found = (await connection.execute(query)).one_or_none()
    if found is None:
        return None
    row = DemandRow(*found)
    if version is not None and row.version != version:
        raise SomebodyElse
    return row


async def find(connection: AsyncConnection, number: str) -> DemandRow | None:
    """The demand of this number."""
    found = (await connection.execute(_rows.where(demand.c.number == number))).one_or_none()
    return None if found is None else DemandRow(*found)


async def by_id(connection: AsyncConnection, demand_id: UUID) -> DemandRow:
    """The demand with this id."""
    return DemandRow(*(await connection.execute(_rows.where(demand.c.id == demand_id))).one())


async def running(
    connection: AsyncConnection, *, from_authority: bool | None = None
) -> list[DemandRow]:
    """Demands whose time runs, the one that is due first at first."""
    query = _rows.where(text(IS_RUNNING)).order_by(demand.c.due_at, demand.c.number)
    if from_authority is not None:
        query = query.where(demand.c.from_authority == from_authority)
    return [DemandRow(*row) for row in await connection.execute(query)]


async def others(
    connection: AsyncConnection, *, limit: int, from_authority: bool | None = None
) -> list[DemandRow]:
    """Demands that were handed over or are at an end, the newest first."""
    query = _rows.where(text(f"NOT ({IS_RUNNING})")).order_by(demand.c.registered_at.desc())
    if from_authority is not None:
        query = query.where(demand.c.from_authority == from_authority)
    return [DemandRow(*row) for row in await connection.execute(query.limit(limit))]


async def steps(connection: AsyncConnection, demand_id: UUID) -> list[StepRow]:
    """What was done to a demand, in its order."""
    query = (
        select(*(demand_step.c[name] for name in StepRow.__slots__))
        .where(demand_step.c.demand_id == demand_id)
        .order_by(demand_step.c.ordinal)
    )
    return [StepRow(*row) for row in await connection.execute(query)]


async def preparers(connection: AsyncConnection, demand_id: UUID) -> set[str]:
    """Everybody who prepared the demand, ever."""
    names = await connection.execute(
        select(demand_step.c.author).where(
            demand_step.c.demand_id == demand_id, demand_step.c.step.in_(_values(PREPARING))
        )
    )
    return set(names.scalars())


async def scan_of(connection: AsyncConnection, demand_id: UUID) -> Scan:
    """The scan of a demand's letter."""
    query = select(demand_scan.c.media_type, demand_scan.c.content)
    return Scan(
        *(await connection.execute(query.where(demand_scan.c.demand_id == demand_id))).one()
    )


async def to_be_warned_of(connection: AsyncConnection, now: datetime) -> list[DemandRow]:
    """Demands that are due soon, each told once: they count as told if this commits.

    What was told in the future, before the clock was put back, is told again.
    """
    untold = or_(demand.c.warned_at.is_(None), demand.c.warned_at > now)
    soon = (demand.c.warn_at <= now, demand.c.due_at > now, untold)
    return await _told(connection, {"warned_at": now}, *soon)


async def overdue(connection: AsyncConnection, now: datetime) -> list[DemandRow]:
    """Demands that are late, each told once a day: they count as told if this commits.

    What was told in the future, before the clock was put back, is told again.
    """
    told = demand.c.overdue_at
    untold = or_(told.is_(None), told <= now - DAY, told > now)
    return await _told(connection, {"overdue_at": now}, demand.c.due_at <= now, untold)


async def held_since(connection: AsyncConnection, moment: datetime) -> list[str]:
    """Numbers of demands that were acknowledged before, and hold recordings still."""
    return list((await connection.execute(_HELD_SINCE, {"moment": moment})).scalars())


async def _told(
    connection: AsyncConnection, values: dict[str, datetime], *conditions: ColumnElement[bool]
) -> list[DemandRow]:
    changed = await connection.execute(
        update(demand)
        .where(text(IS_RUNNING), *conditions)
        .values(values)
        .returning(*_rows.selected_columns)
    )
    return [DemandRow(*row) for row in changed]


async def _next_number(connection: AsyncConnection, now: datetime) -> str:
    """Consecutive: the counter of the year is locked until the transaction ends."""
    year = now.astimezone(ZONE).year % 100
    counted = await connection.execute(
        insert(demand_counter)
        .values(year=year, last=1)
        .on_conflict_do_update(index_elements=["year"], set_={"last": demand_counter.c.last + 1})
        .returning(demand_counter.c.last)
    )
    return f"{year:02}-{counted.scalar_one():04}"


async def _note_step(
    connection: AsyncConnection,
    row: DemandRow,
    step: Step,
    at: datetime,
    author: str,
    reason: str,
) -> None:
    await connection.execute(
        insert(demand_step).values(
            demand_id=row.id,
            ordinal=row.version,
            step=step.value,
            state=row.state,
            at=at,
            author=author,
            reason=reason,
        )
    )


def _values(states: Collection[Step]) -> Sequence[str]:
    return [each.value for each in states]
