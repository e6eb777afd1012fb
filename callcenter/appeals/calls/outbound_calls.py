"""Outbound calls about appeals (R10) in PostgreSQL: a row each, its events on the appeal.

Events of the call that opened an appeal are numbered from 1, those that reconciliation adds from
8 001, those added later from 9 001, and events of outbound calls from 10 001, 20 001 and so on:
several writers add events of one appeal, each repeatably.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Select, exists, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls.tables import appeal, outgoing_call

CHANNEL = "outgoing"  #: of an appeal that begins with a call of ours
EVENTS_PER_CALL = 10_000  # of one call, at most
#: Ordinals of calls about an appeal that begin without the database, which counts the others.
UNWRITTEN_ORDINALS = range(100_000, 200_000)
_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtext('outgoing_call'))")


@dataclass(frozen=True, slots=True)
class OutboundCallRow:
    """Outbound call. `number` is personal data: never log it."""

    id: UUID
    appeal_id: UUID
    ordinal: int
    number: str
    consultant_id: UUID | None
    call_id: str
    began_at: datetime
    ended_at: datetime | None
    outcome: str | None

    @property
    def first_seq(self) -> int:
        """The `seq` of its first event."""
        return first_seq(self.ordinal)


def unwritten_ordinal(outgoing_id: UUID) -> int:
    """The ordinal of a call that begins without the database; always the same for one call."""
    return UNWRITTEN_ORDINALS[outgoing_id.int % len(UNWRITTEN_ORDINALS)]


def first_seq(ordinal: int) -> int:
    """Return the `seq` of an outbound call's first event; ordinal 0 is the opening call."""
    return ordinal * EVENTS_PER_CALL + 1


async def begin(
    connection: AsyncConnection,
    *,
    appeal_id: UUID,
    call_id: str,
    number: str,
    consultant_id: UUID | None,
    began_at: datetime,
    outgoing_id: UUID | None = None,
) -> OutboundCallRow:
    """Insert a call to a number, in E.164 or short, about an appeal.

    `call_id` is the switch's id of a leg that exists as long as the call: see `set_leg`. After
    `count_since` in the same transaction nobody else counts or begins until it ends.
    """
    await _lock_calls(connection)
    last = await connection.execute(
        select(func.coalesce(func.max(outgoing_call.c.ordinal), 0)).where(
            outgoing_call.c.appeal_id == appeal_id,
            outgoing_call.c.ordinal < UNWRITTEN_ORDINALS.start,
        )
    )
    made = OutboundCallRow(
        outgoing_id or uuid4(),
        appeal_id,
        last.scalar_one() + 1,
        number,
        consultant_id,
        call_id,
        began_at,
        None,
        None,
    )
    await add(connection, made)
    return made


async def add(connection: AsyncConnection, call: OutboundCallRow) -> None:
    """Insert an outbound call. Raises IntegrityError if it is there."""
    await connection.execute(insert(outgoing_call).values(_values(call)))


async def add_once(connection: AsyncConnection, call: OutboundCallRow) -> None:
    """Insert an outbound call that may be there by now."""
    adding = upsert(outgoing_call).values(_values(call))
    await connection.execute(adding.on_conflict_do_nothing(index_elements=["id"]))


async def count_since(
    connection: AsyncConnection,
    since: datetime,
    *,
    number: str | None = None,
    consultant_id: UUID | None = None,
) -> int:
    """Count calls begun since then, to a number or by a consultant."""
    await _lock_calls(connection)
    query = select(func.count()).where(outgoing_call.c.began_at > since)
    if number is not None:
        query = query.where(outgoing_call.c.number == number)
    if consultant_id is not None:
        query = query.where(outgoing_call.c.consultant_id == consultant_id)
    return (await connection.execute(query)).scalar_one()


async def set_leg(connection: AsyncConnection, outgoing_id: UUID, call_id: str) -> None:
    """Set the leg that exists as long as the call from now on. Repeatable."""
    await connection.execute(
        update(outgoing_call).where(outgoing_call.c.id == outgoing_id).values(call_id=call_id)
    )


async def close(
    connection: AsyncConnection, outgoing_id: UUID, *, outcome: str, ended_at: datetime
) -> bool:
    """Set the outcome of the call, and of the appeal that it opened; the first one stays.

    Returns whether this was the first.
    """
    closed = await connection.execute(
        update(outgoing_call)
        .where(outgoing_call.c.id == outgoing_id, outgoing_call.c.outcome.is_(None))
        .values(outcome=outcome, ended_at=ended_at)
        .returning(outgoing_call.c.appeal_id)
    )
    appeal_id = closed.scalar_one_or_none()
    if appeal_id is None:
        return False
    await connection.execute(
        update(appeal)
        .where(appeal.c.id == appeal_id, appeal.c.outcome.is_(None), appeal.c.channel == CHANNEL)
        .values(outcome=outcome, ended_at=ended_at)
    )
    return True


async def correct_end(
    connection: AsyncConnection,
    appeal_id: UUID,
    ordinal: int,
    *,
    before: datetime,
    after: datetime,
) -> bool:
    """Correct the end of a call, and of the appeal that it opened, if both ended `before`."""
    corrected = await connection.execute(
        update(outgoing_call)
        .where(
            outgoing_call.c.appeal_id == appeal_id,
            outgoing_call.c.ordinal == ordinal,
            outgoing_call.c.ended_at == before,
        )
        .values(ended_at=after)
        .returning(outgoing_call.c.id)
    )
    if corrected.first() is None:
        return False
    await connection.execute(
        update(appeal)
        .where(appeal.c.id == appeal_id, appeal.c.channel == CHANNEL, appeal.c.ended_at == before)
        .values(ended_at=after)
    )
    return True


async def live(connection: AsyncConnection) -> list[OutboundCallRow]:
    """Return calls without an outcome, the oldest first."""
    rows = await connection.execute(
        _query().where(outgoing_call.c.outcome.is_(None)).order_by(outgoing_call.c.began_at)
    )
    return [OutboundCallRow(*row) for row in rows]


async def list_since(
    connection: AsyncConnection, appeals: Select[tuple[UUID]], since: datetime
) -> list[OutboundCallRow]:
    """List calls about these appeals begun since then, the newest first."""
    rows = await connection.execute(
        _query()
        .where(outgoing_call.c.appeal_id.in_(appeals), outgoing_call.c.began_at >= since)
        .order_by(outgoing_call.c.began_at.desc())
    )
    return [OutboundCallRow(*row) for row in rows]


def is_number_called(
    number: ColumnElement[Any], *, not_about: ColumnElement[Any] | None = None
) -> ColumnElement[bool]:
    """Condition of a query: a call to this number has no outcome yet.

    `not_about`: calls about the appeal with this id do not count.
    """
    unfinished = exists().where(outgoing_call.c.number == number, outgoing_call.c.outcome.is_(None))
    return (
        unfinished
        if not_about is None
        else unfinished.where(outgoing_call.c.appeal_id != not_about)
    )


async def find_last_appeal(
    connection: AsyncConnection, *, consultant_id: UUID, number: str, since: datetime
) -> UUID | None:
    """Find the newest appeal of a number with this consultant, received since then."""
    found = await connection.execute(
        select(appeal.c.id)
        .where(
            appeal.c.caller_number == number,
            appeal.c.consultant_id == consultant_id,
            appeal.c.received_at > since,
        )
        .order_by(appeal.c.received_at.desc())
        .limit(1)
    )
    return found.scalar_one_or_none()


def _values(call: OutboundCallRow) -> dict[str, Any]:
    return {name: getattr(call, name) for name in OutboundCallRow.__slots__}


def _query() -> Select[Any]:
    """Select columns in the order of OutboundCallRow."""
    return select(*(outgoing_call.c[name] for name in OutboundCallRow.__slots__))


async def _lock_calls(connection: AsyncConnection) -> None:
    await connection.execute(_ONE_AT_A_TIME)
