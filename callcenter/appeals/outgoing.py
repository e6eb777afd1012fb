"""Calls that we make about an appeal (R10), in PostgreSQL: one row each, its moments on the appeal.

The moments of the call that opened an appeal are counted from 1, what the ledger knows of it from
8 001, what was added later from 9 001, and the moments of outgoing calls from 10 001, 20 001 and so
on: several parties may write down moments of one appeal, each repeatably.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Select, delete, exists, func, insert, select, text, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.tables import appeal, call_unwanted, outgoing_call

CHANNEL = "outgoing"  #: of an appeal that begins with a call of ours
MOMENTS = 10_000  # of one call, at most
_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtext('outgoing_call'))")


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A call that was made. `number` is personal data: never log it."""

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
    def first_moment(self) -> int:
        """The `seq` of its first moment."""
        return first_moment(self.ordinal)


def first_moment(ordinal: int) -> int:
    """The `seq` of the first moment of an appeal's outgoing call; 0 is the call that opened it."""
    return ordinal * MOMENTS + 1


async def begin(
    connection: AsyncConnection,
    *,
    appeal_id: UUID,
    call_id: str,
    number: str,
    consultant_id: UUID | None,
    began_at: datetime,
) -> Outgoing:
    """Note that a number in E.164, or a short one, is called about an appeal.

    `call_id` is the switch's id of a leg that lives as long as the call: see `carried_by`. Who
    asks `made_since` first in the same transaction is alone with it until that ends.
    """
    await _alone(connection)
    known = await connection.execute(
        select(func.coalesce(func.max(outgoing_call.c.ordinal), 0)).where(
            outgoing_call.c.appeal_id == appeal_id
        )
    )
    made = Outgoing(
        uuid4(),
        appeal_id,
        known.scalar_one() + 1,
        number,
        consultant_id,
        call_id,
        began_at,
        None,
        None,
    )
    await add(connection, made)
    return made


async def add(connection: AsyncConnection, call: Outgoing) -> None:
    """Note a call as it is."""
    await connection.execute(
        insert(outgoing_call).values({name: getattr(call, name) for name in Outgoing.__slots__})
    )


async def made_since(
    connection: AsyncConnection,
    since: datetime,
    *,
    number: str | None = None,
    consultant_id: UUID | None = None,
) -> int:
    """How many calls were begun since then, to a number or by a consultant."""
    await _alone(connection)
    query = select(func.count()).where(outgoing_call.c.began_at > since)
    if number is not None:
        query = query.where(outgoing_call.c.number == number)
    if consultant_id is not None:
        query = query.where(outgoing_call.c.consultant_id == consultant_id)
    return (await connection.execute(query)).scalar_one()


async def carried_by(connection: AsyncConnection, outgoing_id: UUID, call_id: str) -> None:
    """Another leg lives as long as the call from now on. Repeatable."""
    await connection.execute(
        update(outgoing_call).where(outgoing_call.c.id == outgoing_id).values(call_id=call_id)
    )


async def close(
    connection: AsyncConnection, outgoing_id: UUID, *, outcome: str, ended_at: datetime
) -> bool:
    """Give the call its outcome, and with it an appeal that began with it; the first one stays.

    True when this was it.
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


async def live(connection: AsyncConnection) -> list[Outgoing]:
    """Calls without an outcome, the oldest first."""
    rows = await connection.execute(
        _query().where(outgoing_call.c.outcome.is_(None)).order_by(outgoing_call.c.began_at)
    )
    return [Outgoing(*row) for row in rows]


def under_way(
    number: ColumnElement[Any], *, not_about: ColumnElement[Any] | None = None
) -> ColumnElement[bool]:
    """Whether a call to this number has no outcome yet, as a condition of a query.

    `not_about`: calls about the appeal with this id do not count.
    """
    alive = exists().where(outgoing_call.c.number == number, outgoing_call.c.outcome.is_(None))
    return alive if not_about is None else alive.where(outgoing_call.c.appeal_id != not_about)


async def last_to(connection: AsyncConnection, number: str) -> Outgoing | None:
    """The newest call to a number."""
    query = _query().where(outgoing_call.c.number == number)
    newest = query.order_by(outgoing_call.c.began_at.desc()).limit(1)
    row = (await connection.execute(newest)).one_or_none()
    return None if row is None else Outgoing(*row)


async def last_about(
    connection: AsyncConnection, *, consultant_id: UUID, number: str, since: datetime
) -> UUID | None:
    """The newest appeal of a number that this consultant had, received since then."""
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


async def want_no_calls(
    connection: AsyncConnection, number: str, *, unwanted: bool, author: str
) -> None:
    """Note that who has this number asked not to be called, or may be called again."""
    await connection.execute(delete(call_unwanted).where(call_unwanted.c.number == number))
    if unwanted:
        now = datetime.now(UTC)
        asked = {"number": number, "author": author, "asked_at": now}
        await connection.execute(postgresql.insert(call_unwanted).on_conflict_do_nothing(), asked)


async def is_unwanted(connection: AsyncConnection, number: str) -> bool:
    """Whether who has this number asked not to be called."""
    query = select(call_unwanted.c.number).where(call_unwanted.c.number == number)
    return (await connection.execute(query)).first() is not None


def _query() -> Select[Any]:
    """Columns in the order of Outgoing."""
    return select(*(outgoing_call.c[name] for name in Outgoing.__slots__))


async def _alone(connection: AsyncConnection) -> None:
    await connection.execute(_ONE_AT_A_TIME)
