"""Messages of the portal in PostgreSQL, from when they came to when intake has them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Select, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.rules import number
from callcenter.intake.drivers.portal.tables import portal_message

LISTED = 100  # messages that wait: each is an alert, and a thief of the portal can send any number
CHANNEL = "portal_message"  #: channel of PostgreSQL's NOTIFY: one came, or is locked no more


@dataclass(frozen=True, slots=True)
class WaitingMessage:
    """A message that intake has not taken yet; `number` is its appeal's to be."""

    id: UUID
    form: UUID
    number: str
    is_urgent: bool
    received_at: datetime
    sealed: bytes
    was_tried: bool


async def lock_next(connection: AsyncConnection, began: datetime) -> WaitingMessage | None:
    """Lock the next message whose turn came before `began`; None: there is none.

    What was never tried first, in it danger, then in order. What another worker has locked is left
    to it.
    """
    message = portal_message.c
    query = (
        select(portal_message)
        .where(
            message.sealed.is_not(None), or_(message.retry_at.is_(None), message.retry_at < began)
        )
        .order_by(
            message.retry_at.is_not(None),
            message.urgent.desc(),
            message.retry_at,
            message.received_at,
        )
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return None
    appeal = number.make(row.year, row.sequence)
    return WaitingMessage(
        *(row.id, row.form, appeal, row.urgent, row.received_at, row.sealed),
        was_tried=row.retry_at is not None,
    )


async def put_behind(connection: AsyncConnection, message: UUID, until: datetime) -> None:
    """Have a message that cannot be taken wait until then, and behind those never tried."""
    await connection.execute(
        update(portal_message).where(portal_message.c.id == message).values(retry_at=until)
    )


async def mark_taken(connection: AsyncConnection, message: UUID, appeal_id: UUID) -> None:
    """Note the appeal of a message, and erase what was sealed for intake."""
    await connection.execute(
        update(portal_message)
        .where(portal_message.c.id == message)
        .values(appeal_id=appeal_id, sealed=None)
    )


async def list_waiting(connection: AsyncConnection, before: datetime) -> list[UUID]:
    """The oldest messages that came before this and wait still, up to a limit."""
    waiting = portal_message.c.sealed.is_not(None), portal_message.c.received_at < before
    # Many of one transaction came at the same time: each minute they are the same ones.
    order = portal_message.c.received_at, portal_message.c.id
    oldest = select(portal_message.c.id).where(*waiting).order_by(*order).limit(LISTED)
    return list(await connection.scalars(oldest))


async def end_sessions(connection: AsyncConnection, older: timedelta) -> int:
    """End sessions of the portal's role that hold something for longer; how many.

    A transaction that stays open holds the counter of numbers, which all appeals need. That bounds
    mistakes; whoever took the portal over is slowed down, and goes on with other connections.
    """
    ended = select(func.portal_end_sessions(older))
    return int(await connection.scalar(ended) or 0)


async def find_exit(connection: AsyncConnection, of: Select[tuple[UUID]]) -> datetime | None:
    """The last time that a writer of some appeals left the portal quickly."""
    query = select(func.max(portal_message.c.left_at)).where(portal_message.c.appeal_id.in_(of))
    found: datetime | None = (await connection.execute(query)).scalar_one()
    return found


async def move(connection: AsyncConnection, appeal_id: UUID, into: UUID) -> None:
    """Move the messages of an appeal to the one that it goes on in."""
    of_it = portal_message.c.appeal_id == appeal_id
    await connection.execute(update(portal_message).where(of_it).values(appeal_id=into))
