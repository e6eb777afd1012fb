"""The register of appeals in PostgreSQL.

The write side is for the journal of calls, many rows in a statement, and may be repeated: writing
a batch twice leaves what writing it once left. Times are aware; languages are `kk` and `ru`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import (
    Select,
    column,
    func,
    select,
    table,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals import number
from callcenter.appeals.outgoing import first_moment
from callcenter.appeals.tables import appeal, appeal_event
from callcenter.storage.engine import Transaction, as_json, within

YEAR_ZONE = ZoneInfo("Asia/Almaty")
AFTERWARDS = 9_001  #: the `seq` of the first moment that is no moment of the call itself

# Rooms do not import each other; of a consultant we need only what is shown beside the appeal.
consultant = table("consultant", column("id"), column("extension"), column("name"))
_plan = table("caller_plan", *map(column, ("number", "times", "note", "ended_at")))


@dataclass(frozen=True, slots=True)
class LiveAppeal:
    """An appeal without an outcome: its call lives, or was lost."""

    id: UUID
    call_id: str | None
    received_at: datetime


@dataclass(frozen=True, slots=True)
class AppealRow:
    """An appeal as pages and the API show it. `caller_number` is personal data: mask it."""

    id: UUID
    number: str
    channel: str
    call_id: str | None
    language: str | None
    caller_kind: str
    caller_number: str | None
    consultant_name: str | None
    consultant_extension: str | None
    received_at: datetime
    ended_at: datetime | None
    outcome: str | None
    urgent: Sequence[str]


@dataclass(frozen=True, slots=True)
class EventRow:
    """A moment of an appeal, in the order of `seq`."""

    appeal_id: UUID
    seq: int
    at: datetime
    kind: str
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Opening:
    """A call, or another contact, that came in; `call_id` is None for what is no call to us."""

    appeal_id: UUID
    call_id: str | None
    channel: str
    caller_kind: str
    caller_number: str | None
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """What was settled of an appeal; None leaves it as it is."""

    appeal_id: UUID
    language: str | None = None
    consultant_id: UUID | None = None
    urgent: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Closing:
    """How and when a call ended."""

    appeal_id: UUID
    outcome: str
    ended_at: datetime


# The counters of the years stay locked until the transaction ends: that is what makes numbers
# consecutive, and lets nobody open a call between our look whether it is known and our opening it.
_LOCK_COUNTERS = """
    INSERT INTO appeal_counter (year, last)
    SELECT year, 0 FROM unnest(CAST(%(years)s AS smallint[])) AS year
    ON CONFLICT (year) DO UPDATE SET last = appeal_counter.last
    RETURNING year, last
"""
_KNOWN = "SELECT call_id, number FROM appeal WHERE call_id = ANY(%(calls)s)"
_OPEN = """
    INSERT INTO appeal (id, number, channel, call_id, caller_kind, caller_number, received_at)
    SELECT * FROM jsonb_to_recordset(CAST(%(rows)s AS jsonb))
        AS new (appeal_id uuid, number text, channel text, call_id text, caller_kind text,
            caller_number text, received_at timestamptz)
"""
_COUNT = """
    UPDATE appeal_counter SET last = new.last
    FROM jsonb_to_recordset(CAST(%(rows)s AS jsonb)) AS new (year smallint, last integer)
    WHERE appeal_counter.year = new.year
"""
_CHANGE = """
    UPDATE appeal SET
        language = coalesce(new.language, appeal.language),
        consultant_id = coalesce(new.consultant_id, appeal.consultant_id),
        urgent = coalesce(new.urgent, appeal.urgent)
    FROM jsonb_to_recordset(CAST(%(rows)s AS jsonb))
        AS new (appeal_id uuid, language text, consultant_id uuid, urgent text[])
    WHERE appeal.id = new.appeal_id
"""
_CLOSE = """
    UPDATE appeal SET outcome = new.outcome, ended_at = new.ended_at
    FROM jsonb_to_recordset(CAST(%(rows)s AS jsonb))
        AS new (appeal_id uuid, outcome text, ended_at timestamptz)
    WHERE appeal.id = new.appeal_id AND appeal.outcome IS NULL
    RETURNING appeal.id
"""
_ADD_EVENTS = """
    INSERT INTO appeal_event (appeal_id, seq, at, kind, detail)
    SELECT * FROM jsonb_to_recordset(CAST(%(rows)s AS jsonb))
        AS event (appeal_id uuid, seq integer, at timestamptz, kind text, detail jsonb)
    ON CONFLICT (appeal_id, seq) DO NOTHING
"""
_LIVE = (
    select(appeal.c.id, appeal.c.call_id, appeal.c.received_at)
    .where(appeal.c.outcome.is_(None))
    .order_by(appeal.c.received_at)
)


async def open_appeals(transaction: Transaction, openings: Sequence[Opening]) -> list[str]:
    """Open appeals and return their numbers of ten digits (see appeals.number), in that order.

    The year of a number is that of `received_at` in Asia/Almaty. Numbers of a year are
    consecutive. A call that already has an appeal keeps it: its number is returned and none is
    used up. Others who open appeals wait until this transaction ends: keep it short.
    """
    if not openings:
        return []
    years = sorted({_year(opening) for opening in openings})
    last = dict(await transaction.run(_LOCK_COUNTERS, years=years))
    calls = [opening.call_id for opening in openings]
    known: dict[str | None, str] = dict(await transaction.run(_KNOWN, calls=calls))
    numbers, rows = [], []
    for opening in openings:
        given = known.get(opening.call_id)
        if given is None:
            year = _year(opening)
            last[year] += 1
            given = number.make(year, last[year])
            rows.append(_columns(opening) | {"number": given})
            if opening.call_id is not None:
                known[opening.call_id] = given
        numbers.append(given)
    if rows:
        await transaction.run(_OPEN, rows=as_json(rows))
        counters = [{"year": year, "last": count} for year, count in last.items()]
        await transaction.run(_COUNT, rows=as_json(counters))
    return numbers


async def change_appeals(transaction: Transaction, changes: Sequence[Change]) -> None:
    """Settle what is told; of several changes of one appeal the later ones win."""
    together: dict[UUID, dict[str, object]] = {}
    for change in changes:
        told = {name: value for name, value in _columns(change).items() if value is not None}
        together.setdefault(change.appeal_id, {}).update(told)
    if together:
        await transaction.run(_CHANGE, rows=as_json(list(together.values())))


async def close_appeals(transaction: Transaction, closings: Sequence[Closing]) -> set[UUID]:
    """Give appeals their outcomes; the first one of each stays for ever.

    Returns those that were closed by this: others had an outcome already, or do not exist.
    """
    first: dict[UUID, dict[str, object]] = {}
    for closing in closings:
        first.setdefault(closing.appeal_id, _columns(closing))
    if not first:
        return set()
    return {row[0] for row in await transaction.run(_CLOSE, rows=as_json(list(first.values())))}


async def put_events(transaction: Transaction, events: Sequence[EventRow]) -> None:
    """Add moments, of one appeal or of many; those already there (appeal_id, seq) stay as is."""
    if events:
        await transaction.run(_ADD_EVENTS, rows=as_json([_columns(event) for event in events]))


def _columns(row: Opening | Change | Closing | EventRow) -> dict[str, object]:
    return {name: getattr(row, name) for name in row.__slots__}


def _year(opening: Opening) -> int:
    return opening.received_at.astimezone(YEAR_ZONE).year % 100


async def open_appeal(
    connection: AsyncConnection,
    *,
    appeal_id: UUID,
    call_id: str | None,
    channel: str,
    caller_kind: str,
    caller_number: str | None,
    received_at: datetime,
) -> str:
    """As `open_appeals`, of one; returns its number."""
    opening = Opening(appeal_id, call_id, channel, caller_kind, caller_number, received_at)
    return (await open_appeals(within(connection), [opening]))[0]


async def add_events(connection: AsyncConnection, events: Sequence[EventRow]) -> None:
    """As `put_events`."""
    await put_events(within(connection), events)


async def append_event(
    connection: AsyncConnection,
    *,
    appeal_id: UUID,
    at: datetime,
    kind: str,
    detail: Mapping[str, Any],
    ordinal: int = 0,
) -> None:
    """Add a moment after all of a call of the appeal, which may go on yet; 0 is what opened it.

    As `alone_with`: of two who add one at once the second waits, or its moment would be taken for
    the first one's and dropped. For the same reason these are counted apart from the call's own.
    """
    await alone_with(connection, appeal_id)
    first = first_moment(ordinal) + AFTERWARDS - 1
    newest = select(func.coalesce(func.max(appeal_event.c.seq) + 1, first)).where(
        appeal_event.c.appeal_id == appeal_id,
        appeal_event.c.seq.between(first, first_moment(ordinal + 1) - 1),
    )
    seq = (await connection.execute(newest)).scalar_one()
    await add_events(connection, [EventRow(appeal_id, seq, at, kind, dict(detail))])


async def alone_with(connection: AsyncConnection, appeal_id: UUID) -> None:
    """Wait for others who are alone with this appeal; they wait until this transaction ends."""
    row = select(appeal.c.id).where(appeal.c.id == appeal_id)
    await connection.execute(row.with_for_update(key_share=True))


async def set_language(connection: AsyncConnection, *, appeal_id: UUID, language: str) -> None:
    """Settle the language of the appeal: `kk` or `ru`."""
    await change_appeals(within(connection), [Change(appeal_id, language=language)])


async def set_urgent(
    connection: AsyncConnection, *, appeal_id: UUID, urgent: Sequence[str]
) -> None:
    """Settle why the appeal is urgent, in the order of telling: `silent`, `danger` or both."""
    await change_appeals(within(connection), [Change(appeal_id, urgent=urgent)])


async def set_consultant(
    connection: AsyncConnection, *, appeal_id: UUID, consultant_id: UUID
) -> None:
    """Note who talked with the caller; the last one stays."""
    await change_appeals(within(connection), [Change(appeal_id, consultant_id=consultant_id)])


async def close_appeal(
    connection: AsyncConnection, *, appeal_id: UUID, outcome: str, ended_at: datetime
) -> bool:
    """As `close_appeals`, of one: True when this was it."""
    closing = Closing(appeal_id, outcome, ended_at)
    return bool(await close_appeals(within(connection), [closing]))


async def number_of_call(connection: AsyncConnection, call_id: str) -> str | None:
    """The number of the appeal that a call opened; None while it is not written yet."""
    found = await connection.execute(select(appeal.c.number).where(appeal.c.call_id == call_id))
    return found.scalar_one_or_none()


async def live(connection: AsyncConnection) -> list[LiveAppeal]:
    """Appeals without an outcome, the oldest first."""
    return [LiveAppeal(*row) for row in await connection.execute(_LIVE)]


def _shown() -> Select[Any]:
    """Columns in the order of AppealRow."""
    return select(
        appeal.c.id,
        appeal.c.number,
        appeal.c.channel,
        appeal.c.call_id,
        appeal.c.language,
        appeal.c.caller_kind,
        appeal.c.caller_number,
        consultant.c.name,
        consultant.c.extension,
        appeal.c.received_at,
        appeal.c.ended_at,
        appeal.c.outcome,
        appeal.c.urgent,
    ).select_from(appeal.outerjoin(consultant, consultant.c.id == appeal.c.consultant_id))


async def newest(
    connection: AsyncConnection, *, before: tuple[datetime, UUID] | None, limit: int
) -> list[AppealRow]:
    """A page of the register, the newest first.

    `before` is (received_at, id) of the last row of the page before, or None for the first page.
    """
    query = _shown().order_by(appeal.c.received_at.desc(), appeal.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(tuple_(appeal.c.received_at, appeal.c.id) < tuple_(*before))
    return [AppealRow(*row) for row in await connection.execute(query)]


async def find(connection: AsyncConnection, number: str) -> AppealRow | None:
    """The appeal with this number of ten digits."""
    row = (await connection.execute(_shown().where(appeal.c.number == number))).one_or_none()
    return None if row is None else AppealRow(*row)


async def of_call(connection: AsyncConnection, call_id: str) -> AppealRow | None:
    """The appeal that this call opened, by the switch's id of the caller's channel."""
    row = (await connection.execute(_shown().where(appeal.c.call_id == call_id))).one_or_none()
    return None if row is None else AppealRow(*row)


async def agreed_with(connection: AsyncConnection, caller_number: str) -> tuple[str, str] | None:
    """What the plan of this caller says, if there is one: times, and a note."""
    plan = select(_plan.c.times, _plan.c.note).where(
        _plan.c.number == caller_number, _plan.c.ended_at.is_(None)
    )
    row = (await connection.execute(plan)).one_or_none()
    return None if row is None else (row.times, row.note)


async def by_id(connection: AsyncConnection, appeal_id: UUID) -> AppealRow | None:
    """The appeal with this id."""
    row = (await connection.execute(_shown().where(appeal.c.id == appeal_id))).one_or_none()
    return None if row is None else AppealRow(*row)


async def events(connection: AsyncConnection, appeal_id: UUID) -> list[EventRow]:
    """The moments of an appeal, in their order."""
    rows = await connection.execute(
        select(
            appeal_event.c.appeal_id,
            appeal_event.c.seq,
            appeal_event.c.at,
            appeal_event.c.kind,
            appeal_event.c.detail,
        )
        .where(appeal_event.c.appeal_id == appeal_id)
        .order_by(appeal_event.c.seq)
    )
    return [EventRow(*row) for row in rows]
