"""Demands in PostgreSQL."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, exists, literal, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.demands.rules.matching import SearchCriteria
from callcenter.demands.rules.states import (
    PREPARING,
    DemandState,
    DemandStep,
    check_person,
    check_sender,
    move,
)
from callcenter.demands.tables import IS_RUNNING, demand, demand_counter, demand_scan, demand_step
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.core.working_calendar import DAY
from callcenter.recordings.tables import recording_hold


@dataclass(frozen=True, slots=True)
class DemandLetter:
    """The checked letter of a demand with its deadline."""

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

    @property
    def sha256(self) -> str:
        """SHA-256 of the content, in hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()


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
    def criteria(self) -> SearchCriteria:
        return SearchCriteria(
            self.appeal_number, self.caller_number, self.extension, self.since, self.until
        )


@dataclass(frozen=True, slots=True)
class StepRow:
    """A step of a demand: the state after it, its time (UTC), author and reason."""

    ordinal: int
    step: str
    state: str
    at: datetime
    author: str
    reason: str


class StaleDemand(InvalidRequest):
    """Somebody else has moved this demand since you looked at it: look at it again."""


_rows = select(*(demand.c[name] for name in DemandRow.__slots__))


async def register(
    connection: AsyncConnection,
    *,
    letter: DemandLetter,
    criteria: SearchCriteria,
    scan: Scan,
    author: str,
) -> DemandRow:
    """Insert a demand with its letter and first step, numbered within the year."""
    now = datetime.now(UTC)
    row = DemandRow(
        id=uuid4(),
        number=await _next_number(connection, now),
        state=DemandState.REGISTERED.value,
        version=1,
        **{name: getattr(letter, name) for name in DemandLetter.__slots__},
        **{name: getattr(criteria, name) for name in SearchCriteria.__dataclass_fields__},
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
            sha256=scan.sha256,
            content=scan.content,
        )
    )
    about = f"{letter.letter_number}, {letter.letter_date:%d.%m.%Y}"
    await _add_step(connection, row, DemandStep.REGISTERED, now, author, about)
    return row


async def take_step(
    connection: AsyncConnection,
    row: DemandRow,
    step: DemandStep,
    *,
    author: str,
    reason: str,
    refusal: str | None = None,
) -> DemandRow:
    """Take a step of a locked demand.

    Raises IllegalDemandStep, SelfApproval or NotAuthorised.
    """
    after = move(DemandState(row.state), step)
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
    await _add_step(connection, moved, step, now, author, reason)
    return moved


async def lock(
    connection: AsyncConnection, number: str, version: int | None = None
) -> DemandRow | None:
    """The demand of this number, locked for this transaction; None when there is none.

    Raises StaleDemand when `version` is given and it was moved since.
    """
    query = _rows.where(demand.c.number == number).with_for_update()
    found = (await connection.execute(query)).one_or_none()
    if found is None:
        return None
    row = DemandRow(*found)
    if version is not None and row.version != version:
        raise StaleDemand
    return row


async def find(connection: AsyncConnection, number: str) -> DemandRow | None:
    """The demand of this number."""
    found = (await connection.execute(_rows.where(demand.c.number == number))).one_or_none()
    return None if found is None else DemandRow(*found)


async def by_id(connection: AsyncConnection, demand_id: UUID) -> DemandRow:
    """The demand with this id."""
    return DemandRow(*(await connection.execute(_rows.where(demand.c.id == demand_id))).one())


async def list_running(
    connection: AsyncConnection, *, from_authority: bool | None = None
) -> list[DemandRow]:
    """Running demands, the first due at first."""
    query = _rows.where(text(IS_RUNNING)).order_by(demand.c.due_at, demand.c.number)
    if from_authority is not None:
        query = query.where(demand.c.from_authority == from_authority)
    return [DemandRow(*row) for row in await connection.execute(query)]


async def list_others(
    connection: AsyncConnection, *, limit: int, from_authority: bool | None = None
) -> list[DemandRow]:
    """Demands that were handed over or have ended, the newest first."""
    query = _rows.where(text(f"NOT ({IS_RUNNING})")).order_by(demand.c.registered_at.desc())
    if from_authority is not None:
        query = query.where(demand.c.from_authority == from_authority)
    return [DemandRow(*row) for row in await connection.execute(query.limit(limit))]


async def list_untouched(connection: AsyncConnection) -> set[UUID]:
    """Running demands that the authority filed, and in which nobody else has taken a step."""
    touched = exists().where(
        demand_step.c.demand_id == demand.c.id,
        demand_step.c.author.like("user:%"),
        demand_step.c.author != demand.c.author,
    )
    query = select(demand.c.id).where(text(IS_RUNNING), demand.c.came_by == "pages", ~touched)
    return set((await connection.execute(query)).scalars())


async def steps(connection: AsyncConnection, demand_id: UUID) -> list[StepRow]:
    """The steps of a demand, in order."""
    query = (
        select(*(demand_step.c[name] for name in StepRow.__slots__))
        .where(demand_step.c.demand_id == demand_id)
        .order_by(demand_step.c.ordinal)
    )
    return [StepRow(*row) for row in await connection.execute(query)]


async def preparers(connection: AsyncConnection, demand_id: UUID) -> set[str]:
    """The authors of all preparing steps of the demand."""
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


async def claim_due_soon(connection: AsyncConnection, now: datetime) -> list[DemandRow]:
    """Demands due soon, each once: they count as alerted if this commits.

    An alert in the future, from before the clock was put back, is raised again.
    """
    unalerted = or_(demand.c.warned_at.is_(None), demand.c.warned_at > now)
    soon = (demand.c.warn_at <= now, demand.c.due_at > now, unalerted)
    return await _claim_alerts(connection, {"warned_at": now}, *soon)


async def claim_overdue(connection: AsyncConnection, now: datetime) -> list[DemandRow]:
    """Overdue demands, each once a day: they count as alerted if this commits.

    An alert in the future, from before the clock was put back, is raised again.
    """
    last = demand.c.overdue_at
    unalerted = or_(last.is_(None), last <= now - DAY, last > now)
    return await _claim_alerts(connection, {"overdue_at": now}, demand.c.due_at <= now, unalerted)


async def list_holding(connection: AsyncConnection, *, acknowledged_before: datetime) -> list[str]:
    """Numbers of demands acknowledged before, whose recordings are still held."""
    query = (
        select(demand.c.number)
        .where(
            demand.c.state == DemandState.ACKNOWLEDGED.value,
            exists().where(
                demand_step.c.demand_id == demand.c.id,
                demand_step.c.step == DemandStep.ACKNOWLEDGED.value,
                demand_step.c.at < acknowledged_before,
            ),
            exists().where(
                recording_hold.c.reason == literal("demand:").concat(demand.c.number),
                recording_hold.c.ended_at.is_(None),
            ),
        )
        .order_by(demand.c.number)
    )
    return list((await connection.execute(query)).scalars())


async def _claim_alerts(
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
    """The next number: the year's counter is locked until the transaction ends."""
    year = now.astimezone(ZONE).year % 100
    counted = await connection.execute(
        insert(demand_counter)
        .values(year=year, last=1)
        .on_conflict_do_update(index_elements=["year"], set_={"last": demand_counter.c.last + 1})
        .returning(demand_counter.c.last)
    )
    return f"{year:02}-{counted.scalar_one():04}"


async def _add_step(
    connection: AsyncConnection,
    row: DemandRow,
    step: DemandStep,
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


def _values(states: Collection[DemandStep]) -> Sequence[str]:
    return [each.value for each in states]
