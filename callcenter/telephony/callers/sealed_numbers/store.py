"""Store of sealed numbers and of requests to open them."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, delete, exists, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls.tables import appeal
from callcenter.recordings.tables import recording, recording_hold
from callcenter.telephony.callers.sealed_numbers.rules import OPENING_LIMIT, REQUEST_LIMIT
from callcenter.telephony.callers.sealed_numbers.tables import number_opening, sealed_number


@dataclass(frozen=True, slots=True)
class NumberOpening:
    """A request to open the number of an appeal, whose number is `appeal`."""

    id: UUID
    appeal_id: UUID
    appeal: str
    state: str
    reason: str
    asked_by: str
    asked_at: datetime
    decided_by: str | None
    decided_at: datetime | None


async def add(
    connection: AsyncConnection, *, appeal_id: UUID, sealed: bytes, basis: str, until: datetime
) -> None:
    """Keep a sealed number; the first of an appeal stays."""
    values = {"appeal_id": appeal_id, "sealed": sealed, "basis": basis, "until": until}
    await connection.execute(insert(sealed_number).values(values).on_conflict_do_nothing())


async def find_until(
    connection: AsyncConnection, appeal_id: UUID, now: datetime
) -> datetime | None:
    """End of the term of the number of an appeal; None: it is not kept."""
    query = select(sealed_number.c.until).where(_is_of(appeal_id, now))
    return (await connection.execute(query)).scalar_one_or_none()


async def find_sealed(connection: AsyncConnection, appeal_id: UUID, now: datetime) -> bytes | None:
    """The sealed number of an appeal; None: it is not kept."""
    query = select(sealed_number.c.sealed).where(_is_of(appeal_id, now))
    return (await connection.execute(query)).scalar_one_or_none()


async def find_opening(connection: AsyncConnection, opening_id: UUID) -> NumberOpening | None:
    """Find a request and lock it."""
    found = await _read(connection, number_opening.c.id == opening_id, is_locking=True)
    return found[0] if found else None


async def list_open(connection: AsyncConnection, now: datetime) -> list[NumberOpening]:
    """Requests that wait for a decision or for the opening, whose number is kept."""
    has_number = exists().where(
        sealed_number.c.appeal_id == number_opening.c.appeal_id, _is_retained(now)
    )
    approved = (number_opening.c.state == "approved") & (
        number_opening.c.decided_at > now - OPENING_LIMIT
    )
    return await _read(connection, has_number, (number_opening.c.state == "asked") | approved)


async def mark_opened(
    connection: AsyncConnection, opening_id: UUID, who: str, now: datetime
) -> None:
    """Note that a number was shown."""
    await connection.execute(
        update(number_opening)
        .where(number_opening.c.id == opening_id)
        .values(state="opened", opened_by=who, opened_at=now)
    )


async def erase_expired(connection: AsyncConnection, now: datetime) -> int:
    """Erase numbers that are not to be kept any longer; returns how many."""
    erased = await connection.execute(
        delete(sealed_number).where(~_is_retained(now)).returning(sealed_number.c.appeal_id)
    )
    return len(erased.all())


def is_to_be_opened(appeal_id: ColumnElement[UUID], now: datetime) -> ColumnElement[bool]:
    """Condition: a recent request to open the number of this appeal is not carried out yet.

    It was made within the number's term: who asks again and again prolongs it once.
    """
    opening, number = number_opening.alias(), sealed_number.alias()
    return exists().where(
        opening.c.appeal_id == appeal_id,
        opening.c.state.in_(["asked", "approved"]),
        opening.c.asked_at > now - REQUEST_LIMIT,
        number.c.appeal_id == opening.c.appeal_id,
        opening.c.asked_at <= number.c.until,
    )


def _is_of(appeal_id: UUID, now: datetime) -> ColumnElement[bool]:
    return (sealed_number.c.appeal_id == appeal_id) & _is_retained(now)


def _is_retained(now: datetime) -> ColumnElement[bool]:
    """Condition: within its term, or to be opened, or a recording of its appeal is held.

    Readers ask for themselves: what is not erased yet, the worker being away, is not kept.
    """
    is_held = exists().where(
        recording.c.appeal_id == sealed_number.c.appeal_id,
        recording_hold.c.recording_id == recording.c.id,
        recording_hold.c.ended_at.is_(None),
    )
    is_within = sealed_number.c.until > now
    return is_within | is_held | is_to_be_opened(sealed_number.c.appeal_id, now)


async def _read(
    connection: AsyncConnection, *conditions: ColumnElement[bool], is_locking: bool = False
) -> list[NumberOpening]:
    names = ("state", "reason", "asked_by", "asked_at", "decided_by", "decided_at")
    query = (
        select(
            number_opening.c.id,
            number_opening.c.appeal_id,
            appeal.c.number,
            *(number_opening.c[name] for name in names),
        )
        .join(appeal, appeal.c.id == number_opening.c.appeal_id)
        .where(*conditions)
        .order_by(number_opening.c.asked_at)
    )
    if is_locking:
        query = query.with_for_update(of=number_opening)
    return [NumberOpening(*row) for row in await connection.execute(query)]
