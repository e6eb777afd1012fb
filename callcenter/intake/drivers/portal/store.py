"""Messages of the portal in PostgreSQL, from when they came to when intake has them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.rules import number
from callcenter.intake.drivers.portal.tables import portal_message

CHANNEL = "portal_message"  #: channel of PostgreSQL's NOTIFY: one came


@dataclass(frozen=True, slots=True)
class WaitingMessage:
    """A message that intake has not taken; `number` is its appeal's to be."""

    id: UUID
    form: UUID
    number: str
    is_urgent: bool
    received_at: datetime
    sealed: bytes


async def lock_next(connection: AsyncConnection, but: Collection[UUID]) -> WaitingMessage | None:
    """Lock the next message `but` these: danger first, then in order; None: there is none.

    What another worker has locked is left to it.
    """
    waiting = portal_message.c.sealed.is_not(None)
    query = (
        select(portal_message)
        .where(waiting, portal_message.c.id.not_in(but))
        .order_by(portal_message.c.urgent.desc(), portal_message.c.received_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return None
    appeal = number.make(row.year, row.sequence)
    return WaitingMessage(row.id, row.form, appeal, row.urgent, row.received_at, row.sealed)


async def mark_taken(connection: AsyncConnection, message: UUID, appeal_id: UUID) -> None:
    """Note the appeal of a message, and erase what was sealed for intake."""
    await connection.execute(
        update(portal_message)
        .where(portal_message.c.id == message)
        .values(appeal_id=appeal_id, sealed=None)
    )


async def list_waiting(connection: AsyncConnection, before: datetime) -> list[UUID]:
    """Messages that came before this and wait still."""
    waiting = portal_message.c.sealed.is_not(None), portal_message.c.received_at < before
    return list(await connection.scalars(select(portal_message.c.id).where(*waiting)))


async def move(connection: AsyncConnection, appeal_id: UUID, into: UUID) -> None:
    """Move the messages of an appeal to the one that it goes on in."""
    of_it = portal_message.c.appeal_id == appeal_id
    await connection.execute(update(portal_message).where(of_it).values(appeal_id=into))
