"""Appeals and their events in PostgreSQL.

Writing is for the journal of calls: many rows in a statement, and repeatable, so that a batch
written twice leaves what it left once. Times are aware; languages are `kk` and `ru`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Select,
    func,
    or_,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls.outbound_calls import first_seq
from callcenter.appeals.calls.tables import IS_ALERT, appeal, appeal_counter, appeal_event
from callcenter.appeals.rules import number
from callcenter.consultants.tables import consultant
from callcenter.platform.core.errors import NotFound
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.storage.engine import Transaction, as_json, within

FIRST_LATER_SEQ = 9_001  #: `seq` of the first event after the call itself


@dataclass(frozen=True, slots=True)
class LiveAppeal:
    """Appeal without an outcome: its call is live, or was lost."""

    id: UUID
    call_id: str | None
    received_at: datetime


@dataclass(frozen=True, slots=True)
class AppealRow:
    """Appeal as pages and the API show it. `caller_number` is personal data: mask it."""

    id: UUID
    number: str
    channel: str
    call_id: str | None
    language: str | None
    caller_kind: str
    caller_number: str | None
    consultant_name: str | None
    consultant_extension: str | None
    consultant_id: UUID | None
    received_at: datetime
    ended_at: datetime | None
    outcome: str | None
    urgent: Sequence[str]


@dataclass(frozen=True, slots=True)
class EventRow:
    """Event of an appeal, in the order of `seq`."""

    appeal_id: UUID
    seq: int
    at: datetime
    kind: str
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class NewAppeal:
    """New appeal, by a call or another contact; `call_id` is None unless it is a call to us.

    Its `number` is None unless it was taken from the counter before.
    """

    appeal_id: UUID
    call_id: str | None
    channel: str
    caller_kind: str
    caller_number: str | None
    received_at: datetime
    number: str | None = None


@dataclass(frozen=True, slots=True)
class AppealUpdate:
    """Changed values of an appeal; None leaves a value as it is.

    Urgencies are added to those that it has, in the order of telling: `silent`, `danger` or both.
    """

    appeal_id: UUID
    language: str | None = None
    consultant_id: UUID | None = None
    urgent: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class AppealClosed:
    """Outcome of an appeal, and when its call ended."""

    appeal_id: UUID
    outcome: str
    ended_at: datetime


# The counters of the years stay locked until the transaction ends. So numbers are consecutive, and
# nobody opens the appeal of a call between our check for it and our insert.
_TAKE_NUMBERS = """
    INSERT INTO appeal_counter (year, last)
    SELECT year, CAST(count(*) AS integer) FROM unnest(CAST(%(years)s AS smallint[])) AS year
    GROUP BY year ORDER BY year
    ON CONFLICT (year) DO UPDATE SET last = appeal_counter.last + excluded.last
    RETURNING year, last
"""
_NUMBERS = "SELECT call_id, number FROM appeal WHERE call_id = ANY(%(calls)s)"
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
        urgent = appeal.urgent || ARRAY(
            SELECT urgency FROM unnest(new.urgent) WITH ORDINALITY AS added (urgency, place)
            WHERE urgency <> ALL (appeal.urgent) ORDER BY place)
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


async def open_appeals(transaction: Transaction, openings: Sequence[NewAppeal]) -> list[str]:
    """Open appeals and return their numbers, in that order.

    The year of a number is that of `received_at` in Asia/Almaty. Numbers of a year are
    consecutive. A call that already has an appeal keeps it: its number is returned and none is
    used up. Others who open appeals wait until this transaction ends, calls among them: keep it
    short, and lock no other appeal before, which the journal of calls does after. Raises
    NumbersExhausted.
    """
    if not openings:
        return []
    years = [year_of(opening.received_at) for opening in openings if opening.number is None]
    taken = Counter(years)
    found = await transaction.run(_TAKE_NUMBERS, years=years)
    last = {year: newest - taken[year] for year, newest in found}
    calls = [opening.call_id for opening in openings]
    by_call: dict[str | None, str] = dict(await transaction.run(_NUMBERS, calls=calls))
    numbers, rows = [], []
    for opening in openings:
        given = by_call.get(opening.call_id)
        if given is None:
            given = opening.number
            if given is None:
                year = year_of(opening.received_at)
                last[year] += 1
                given = number.make(year, last[year])
            rows.append(_columns(opening) | {"number": given})
            if opening.call_id is not None:
                by_call[opening.call_id] = given
        numbers.append(given)
    if rows:
        await transaction.run(_OPEN, rows=as_json(rows))
    if len(rows) < len(openings):  # who has an appeal takes no number
        counters = [{"year": year, "last": count} for year, count in last.items()]
        await transaction.run(_COUNT, rows=as_json(counters))
    return numbers


async def last_sequence(connection: AsyncConnection, at: datetime) -> int:
    """Return the newest sequence number of the year of this time; 0 when it has none."""
    last = select(appeal_counter.c.last).where(appeal_counter.c.year == year_of(at))
    return (await connection.execute(last)).scalar_one_or_none() or 0


async def read_counters(connection: AsyncConnection) -> dict[int, int]:
    """Return the newest sequence number of each year, in two digits."""
    columns = select(appeal_counter.c.year, appeal_counter.c.last)
    return {row.year: row.last for row in await connection.execute(columns)}


async def skip_numbers(connection: AsyncConnection, last: Mapping[int, int]) -> None:
    """Have the next number of each year come after this one; a counter never goes back."""
    rows = [{"year": year, "last": sequence} for year, sequence in sorted(last.items())]
    adding = insert(appeal_counter)
    later = func.greatest(appeal_counter.c.last, adding.excluded.last)
    await connection.execute(
        adding.on_conflict_do_update(index_elements=["year"], set_={"last": later}), rows
    )


async def change_appeals(transaction: Transaction, changes: Sequence[AppealUpdate]) -> None:
    """Set the given values, and add urgencies; of several changes of one appeal the last wins."""
    together: dict[UUID, dict[str, object]] = {}
    for change in changes:
        given = {name: value for name, value in _columns(change).items() if value is not None}
        together.setdefault(change.appeal_id, {}).update(given)
    if together:
        await transaction.run(_CHANGE, rows=as_json(list(together.values())))


async def close_appeals(transaction: Transaction, closings: Sequence[AppealClosed]) -> set[UUID]:
    """Set the outcomes of appeals; the first one of each stays for ever.

    Returns those closed by this: others had an outcome already, or do not exist.
    """
    first: dict[UUID, dict[str, object]] = {}
    for closing in closings:
        first.setdefault(closing.appeal_id, _columns(closing))
    if not first:
        return set()
    return {row[0] for row in await transaction.run(_CLOSE, rows=as_json(list(first.values())))}


async def put_events(transaction: Transaction, events: Sequence[EventRow]) -> None:
    """Add events of one or many appeals; those already there (appeal_id, seq) stay as is."""
    if events:
        await transaction.run(_ADD_EVENTS, rows=as_json([_columns(event) for event in events]))


def _columns(row: NewAppeal | AppealUpdate | AppealClosed | EventRow) -> dict[str, object]:
    return {name: getattr(row, name) for name in row.__slots__}


def year_of(at: datetime) -> int:
    """The year of the numbers that are given then, in two digits."""
    return at.astimezone(ZONE).year % 100


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
    """Open an appeal as `open_appeals` does, and return its number."""
    opening = NewAppeal(appeal_id, call_id, channel, caller_kind, caller_number, received_at)
    return (await open_appeals(within(connection), [opening]))[0]


async def add_events(connection: AsyncConnection, events: Sequence[EventRow]) -> None:
    """Add events as `put_events` does, in the transaction of this connection."""
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
    """Add an event after all of a call of the appeal, which may still last.

    `ordinal` 0 is the call that opened the appeal. Takes `lock_appeal`: of two who add an event at
    once the second waits, or its event would be dropped as a repeat of the first. For the same
    reason these are numbered apart from the events of the call itself.
    """
    await lock_appeal(connection, appeal_id)
    first = first_seq(ordinal) + FIRST_LATER_SEQ - 1
    newest = select(func.coalesce(func.max(appeal_event.c.seq) + 1, first)).where(
        appeal_event.c.appeal_id == appeal_id,
        appeal_event.c.seq.between(first, first_seq(ordinal + 1) - 1),
    )
    seq = (await connection.execute(newest)).scalar_one()
    await add_events(connection, [EventRow(appeal_id, seq, at, kind, dict(detail))])


async def lock_appeal(connection: AsyncConnection, appeal_id: UUID) -> None:
    """Lock the appeal until this transaction ends; waits while another has it."""
    row = select(appeal.c.id).where(appeal.c.id == appeal_id)
    await connection.execute(row.with_for_update(key_share=True))


async def set_language(connection: AsyncConnection, *, appeal_id: UUID, language: str) -> None:
    """Set the language of the appeal: `kk` or `ru`."""
    await change_appeals(within(connection), [AppealUpdate(appeal_id, language=language)])


async def set_consultant(
    connection: AsyncConnection, *, appeal_id: UUID, consultant_id: UUID
) -> None:
    """Set the consultant of the appeal; the last one stays."""
    await change_appeals(within(connection), [AppealUpdate(appeal_id, consultant_id=consultant_id)])


async def add_urgencies(
    connection: AsyncConnection, *, appeal_id: UUID, urgent: Sequence[str]
) -> None:
    """Add urgencies to those of the appeal, in the order of telling."""
    await change_appeals(within(connection), [AppealUpdate(appeal_id, urgent=urgent)])


async def close_appeal(
    connection: AsyncConnection, *, appeal_id: UUID, outcome: str, ended_at: datetime
) -> bool:
    """Close an appeal as `close_appeals` does; whether it was open."""
    closing = AppealClosed(appeal_id, outcome, ended_at)
    return bool(await close_appeals(within(connection), [closing]))


async def extend_end(connection: AsyncConnection, appeal_id: UUID, ended_at: datetime) -> None:
    """Move the end of an appeal that was closed when its call went to the fallback."""
    await connection.execute(
        update(appeal)
        .where(appeal.c.id == appeal_id, appeal.c.ended_at < ended_at)
        .values(ended_at=ended_at)
    )


async def correct_end(
    connection: AsyncConnection, appeal_id: UUID, *, before: datetime, after: datetime
) -> bool:
    """Correct when the call of an appeal ended, unless it is not `before` any more."""
    corrected = await connection.execute(
        update(appeal)
        .where(appeal.c.id == appeal_id, appeal.c.ended_at == before)
        .values(ended_at=after)
        .returning(appeal.c.id)
    )
    return corrected.first() is not None


async def number_of_call(connection: AsyncConnection, call_id: str) -> str | None:
    """Return the number of the appeal that a call opened; None while it is not written yet."""
    found = await connection.execute(select(appeal.c.number).where(appeal.c.call_id == call_id))
    return found.scalar_one_or_none()


async def live(connection: AsyncConnection) -> list[LiveAppeal]:
    """Return appeals without an outcome, the oldest first."""
    return [LiveAppeal(*row) for row in await connection.execute(_LIVE)]


def _select_rows() -> Select[Any]:
    """Select columns in the order of AppealRow."""
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
        appeal.c.consultant_id,
        appeal.c.received_at,
        appeal.c.ended_at,
        appeal.c.outcome,
        appeal.c.urgent,
    ).select_from(appeal.outerjoin(consultant, consultant.c.id == appeal.c.consultant_id))


async def newest(
    connection: AsyncConnection, *, before: tuple[datetime, UUID] | None, limit: int
) -> list[AppealRow]:
    """Return a page of appeals, the newest first.

    `before` is (received_at, id) of the last row of the page before, or None for the first page.
    """
    query = _select_rows().order_by(appeal.c.received_at.desc(), appeal.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(tuple_(appeal.c.received_at, appeal.c.id) < tuple_(*before))
    return [AppealRow(*row) for row in await connection.execute(query)]


async def find(connection: AsyncConnection, number: str) -> AppealRow | None:
    """Find the appeal with this number."""
    row = (await connection.execute(_select_rows().where(appeal.c.number == number))).one_or_none()
    return None if row is None else AppealRow(*row)


async def find_by_call(connection: AsyncConnection, call_id: str) -> AppealRow | None:
    """Find the appeal that a call opened, by the switch's id of the caller's channel."""
    row = (
        await connection.execute(_select_rows().where(appeal.c.call_id == call_id))
    ).one_or_none()
    return None if row is None else AppealRow(*row)


async def find_by_id(connection: AsyncConnection, appeal_id: UUID) -> AppealRow | None:
    """Find the appeal with this id."""
    row = (await connection.execute(_select_rows().where(appeal.c.id == appeal_id))).one_or_none()
    return None if row is None else AppealRow(*row)


async def find_again(connection: AsyncConnection, appeal_id: UUID, call_id: str | None) -> UUID:
    """The id of an appeal after a restore, which may have entered its call again.

    Then it is another one. One that no call opened is entered again by nobody. Raises NotFound.
    """
    is_it = appeal.c.id == appeal_id
    if call_id is not None:  # NULL would be of every appeal that no call opened
        is_it = or_(is_it, appeal.c.call_id == call_id)
    ids = select(appeal.c.id).where(is_it)
    found = await connection.execute(ids.order_by(appeal.c.id != appeal_id).limit(1))
    there: UUID | None = found.scalar_one_or_none()
    if there is None:
        raise NotFound(f"there is no appeal {appeal_id} to erase data of")
    return there


def _select_events() -> Select[Any]:
    return select(
        appeal_event.c.appeal_id,
        appeal_event.c.seq,
        appeal_event.c.at,
        appeal_event.c.kind,
        appeal_event.c.detail,
    )


async def events(connection: AsyncConnection, appeal_id: UUID) -> list[EventRow]:
    """Return the events of an appeal, in their order."""
    query = _select_events().where(appeal_event.c.appeal_id == appeal_id)
    return [EventRow(*row) for row in await connection.execute(query.order_by(appeal_event.c.seq))]


async def list_alerts(connection: AsyncConnection, since: datetime) -> list[EventRow]:
    """The events since then by which calls alerted supervisors."""
    query = _select_events().where(text(IS_ALERT), appeal_event.c.at >= since)
    return [EventRow(*row) for row in await connection.execute(query)]
