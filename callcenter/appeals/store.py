"""The register of appeals in PostgreSQL.

The write side is for the journal of calls and may be repeated: writing a batch twice leaves what
writing it once left. Times are aware; languages are `kk` and `ru`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import (
    ColumnElement,
    Select,
    bindparam,
    column,
    func,
    select,
    table,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals import number
from callcenter.appeals.outgoing import first_moment
from callcenter.appeals.tables import appeal, appeal_event

LONGEST_CALL = timedelta(hours=3)
YEAR_ZONE = ZoneInfo("Asia/Almaty")

# Rooms do not import each other; of a consultant we need only what is shown beside the appeal.
_consultant = table("consultant", column("id"), column("extension"), column("name"))


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


# A known call takes no number: the upsert selects nothing then. The row of the counter stays
# locked until the transaction ends, which is what makes numbers consecutive: keep it short.
_TAKE_NUMBER = text(
    """
    WITH known AS (SELECT number FROM appeal WHERE call_id = :call_id),
    taken AS (
        INSERT INTO appeal_counter (year, last)
        SELECT :year, 1 WHERE NOT EXISTS (SELECT FROM known)
        ON CONFLICT (year) DO UPDATE SET last = appeal_counter.last + 1
        RETURNING last
    )
    SELECT (SELECT number FROM known) AS known, (SELECT last FROM taken) AS taken
    """
)
_GIVE_NUMBER_BACK = text("UPDATE appeal_counter SET last = last - 1 WHERE year = :year")
_INSERT = (
    insert(appeal).on_conflict_do_nothing(index_elements=["call_id"]).returning(appeal.c.number)
)
_NUMBER_OF_CALL = select(appeal.c.number).where(appeal.c.call_id == bindparam("call_id"))
# One statement with one parameter, whatever the number of rows: half the CPU of executemany.
_ADD_EVENTS = text(
    """
    INSERT INTO appeal_event (appeal_id, seq, at, kind, detail)
    SELECT appeal_id, seq, at, kind, detail
    FROM jsonb_to_recordset(:events)
        AS event (appeal_id uuid, seq integer, at timestamptz, kind text, detail jsonb)
    ON CONFLICT (appeal_id, seq) DO NOTHING
    """
).bindparams(bindparam("events", type_=JSONB))
_BY_ID: ColumnElement[bool] = appeal.c.id == bindparam("appeal")
_SET_LANGUAGE = update(appeal).where(_BY_ID).values(language=bindparam("chosen"))
_SET_CONSULTANT = update(appeal).where(_BY_ID).values(consultant_id=bindparam("talked_with"))
_SET_URGENT = update(appeal).where(_BY_ID).values(urgent=bindparam("told"))
_CLOSE = (
    update(appeal)
    .where(_BY_ID, appeal.c.outcome.is_(None))
    .values(outcome=bindparam("became"), ended_at=bindparam("ended"))
)
_LIVE = (
    select(appeal.c.id, appeal.c.call_id, appeal.c.received_at)
    .where(appeal.c.outcome.is_(None))
    .order_by(appeal.c.received_at)
)


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
    """Open the appeal of a call and return its number of ten digits (see appeals.number).

    The year of the number is that of `received_at` in Asia/Almaty. Numbers of a year are
    consecutive. A call that already has an appeal keeps it: its number is returned and none is
    used up; `call_id` is None for what is no call to us. Others who
    open appeals wait until this transaction ends: keep it short.
    """
    year = received_at.astimezone(YEAR_ZONE).year % 100
    row = (await connection.execute(_TAKE_NUMBER, {"call_id": call_id, "year": year})).one()
    if row.known is not None:
        return str(row.known)
    given = number.make(year, row.taken)
    inserted = await connection.execute(
        _INSERT,
        {
            "id": appeal_id,
            "number": given,
            "channel": channel,
            "call_id": call_id,
            "caller_kind": caller_kind,
            "caller_number": caller_number,
            "received_at": received_at,
        },
    )
    if inserted.scalar_one_or_none() is not None:
        return given
    # Another transaction opened the same call after our first look. The counter is still locked
    # by us, so the number that we took is the last one.
    await connection.execute(_GIVE_NUMBER_BACK, {"year": year})
    return str((await connection.execute(_NUMBER_OF_CALL, {"call_id": call_id})).scalar_one())


async def add_events(connection: AsyncConnection, events: Sequence[EventRow]) -> None:
    """Add moments, of one appeal or of many; those already there (appeal_id, seq) stay as is."""
    if events:
        rows = [
            {
                "appeal_id": str(event.appeal_id),
                "seq": event.seq,
                "at": event.at.isoformat(),
                "kind": event.kind,
                "detail": event.detail,
            }
            for event in events
        ]
        await connection.execute(_ADD_EVENTS, {"events": rows})


async def append_event(
    connection: AsyncConnection,
    *,
    appeal_id: UUID,
    at: datetime,
    kind: str,
    detail: Mapping[str, Any],
) -> None:
    """Add a moment after all of the call that opened the appeal, which is over."""
    newest = select(func.coalesce(func.max(appeal_event.c.seq), 0) + 1).where(
        appeal_event.c.appeal_id == appeal_id, appeal_event.c.seq < first_moment(1)
    )
    seq = (await connection.execute(newest)).scalar_one()
    await add_events(connection, [EventRow(appeal_id, seq, at, kind, dict(detail))])


async def set_language(connection: AsyncConnection, *, appeal_id: UUID, language: str) -> None:
    """Settle the language of the appeal: `kk` or `ru`."""
    await connection.execute(_SET_LANGUAGE, {"appeal": appeal_id, "chosen": language})


async def set_urgent(
    connection: AsyncConnection, *, appeal_id: UUID, urgent: Sequence[str]
) -> None:
    """Settle why the appeal is urgent, in the order of telling: `silent`, `danger` or both."""
    await connection.execute(_SET_URGENT, {"appeal": appeal_id, "told": list(urgent)})


async def set_consultant(
    connection: AsyncConnection, *, appeal_id: UUID, consultant_id: UUID
) -> None:
    """Note who talked with the caller; the last one stays."""
    await connection.execute(_SET_CONSULTANT, {"appeal": appeal_id, "talked_with": consultant_id})


async def close_appeal(
    connection: AsyncConnection, *, appeal_id: UUID, outcome: str, ended_at: datetime
) -> bool:
    """Give the appeal its outcome; the first one stays for ever.

    True when this was it, False when the appeal had an outcome already (or does not exist).
    """
    result = await connection.execute(
        _CLOSE, {"appeal": appeal_id, "became": outcome, "ended": ended_at}
    )
    return result.rowcount == 1


async def number_of_call(connection: AsyncConnection, call_id: str) -> str | None:
    """The number of the appeal that a call opened; None while it is not written yet."""
    found = await connection.execute(_NUMBER_OF_CALL, {"call_id": call_id})
    return found.scalar_one_or_none()


async def live(connection: AsyncConnection) -> list[LiveAppeal]:
    """Appeals without an outcome, the oldest first."""
    return [LiveAppeal(*row) for row in await connection.execute(_LIVE)]


async def was_lost(connection: AsyncConnection, caller_number: str, since: datetime) -> bool:
    """Whether a call of this number ended since then by our fault."""
    lost = select(appeal.c.id).where(
        # No call is longer; this bound is what an index serves.
        appeal.c.received_at > since - LONGEST_CALL,
        appeal.c.ended_at > since,
        appeal.c.caller_number == caller_number,
        appeal.c.outcome == "lost_to_a_fault",
    )
    return (await connection.execute(lost.limit(1))).first() is not None


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
        _consultant.c.name,
        _consultant.c.extension,
        appeal.c.received_at,
        appeal.c.ended_at,
        appeal.c.outcome,
        appeal.c.urgent,
    ).select_from(appeal.outerjoin(_consultant, _consultant.c.id == appeal.c.consultant_id))


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
