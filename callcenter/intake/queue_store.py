"""The queue of written contacts in PostgreSQL; an offer ends by its time alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import (
    Column,
    ColumnElement,
    Select,
    and_,
    case,
    exists,
    func,
    not_,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls.tables import appeal
from callcenter.appeals.rules.states import AppealState
from callcenter.intake.rules.queue import (
    HEAD_START_INTERVAL,
    NOT_AGAIN_INTERVAL,
    ContactReader,
    WrittenContact,
    WrittenQueue,
)
from callcenter.intake.tables import intake_message, written_contact

HELD_LIMIT = 500  # contacts that are offered or in hand, as pages show them
JOINED = "system:joined"  #: ended a contact which another one stands for

#: In which somebody works on an appeal here.
_WORKED_ON = (AppealState.CONTACT, AppealState.REGISTERED, AppealState.IN_WORK)

_IS_OPEN = written_contact.c.done_at.is_(None)
#: Conditions on a contact: somebody is to read it; its holder has read all of it.
_IS_UNREAD = and_(_IS_OPEN, written_contact.c.read_at.is_(None))
_IS_IN_HAND = and_(_IS_OPEN, written_contact.c.read_at.is_not(None))
#: Danger first, then what is to be read by an earlier time.
_BY_PRESSURE = (written_contact.c.urgent.desc(), written_contact.c.due_at, written_contact.c.id)


@dataclass(frozen=True, slots=True)
class OpenContact:
    """The contact of an appeal that is not done."""

    id: UUID
    holder: str | None
    read_at: datetime | None

    def is_in_hand_of(self, user: str) -> bool:
        """Whether this user has read all of it."""
        return self.read_at is not None and self.holder == user


def _is_waiting(now: datetime) -> ColumnElement[bool]:
    """Whether a contact is to be read, and is offered to nobody."""
    until = written_contact.c.offered_until
    return and_(_IS_UNREAD, or_(until.is_(None), until <= now))


def is_unread() -> ColumnElement[bool]:
    """Condition on `appeal`: something written there is to be read."""
    contact = written_contact
    return select(contact.c.id).where(_IS_UNREAD, contact.c.appeal_id == appeal.c.id).exists()


def is_in_hand_of(user: str) -> ColumnElement[bool]:
    """Condition on `appeal`: this user has it in hand."""
    contact = written_contact
    held = and_(_IS_IN_HAND, contact.c.holder == user, contact.c.appeal_id == appeal.c.id)
    return select(contact.c.id).where(held).exists()


async def enqueue(
    connection: AsyncConnection,
    appeal_id: UUID,
    *,
    language: str,
    is_urgent: bool,
    due_at: datetime,
    now: datetime,
    offered_to: str | None,
    offered_until: datetime,
) -> UUID:
    """Queue an appeal of which something is to be read, with an offer to a user, or to nobody.

    One that is queued or in hand already is to be read again: by its holder first, but for danger,
    which waits for nobody. Returns the id of its contact.
    """
    holder = null() if is_urgent else offered_to
    until = null() if is_urgent or offered_to is None else offered_until
    new = insert(written_contact).values(
        id=uuid4(),
        appeal_id=appeal_id,
        language=language,
        urgent=is_urgent,
        queued_at=now,
        due_at=due_at,
        holder=holder,
        offered_until=until,
    )
    was_read = written_contact.c.read_at.is_not(None)
    again: dict[str, Any] = {
        "urgent": case(
            (was_read, new.excluded.urgent),
            else_=or_(written_contact.c.urgent, new.excluded.urgent),
        ),
        "queued_at": case((was_read, new.excluded.queued_at), else_=written_contact.c.queued_at),
        "due_at": case(
            (was_read, new.excluded.due_at),
            else_=func.least(written_contact.c.due_at, new.excluded.due_at),
        ),
        "read_at": None,
    }
    if is_urgent:
        again |= {"holder": None, "offered_until": None}
    else:
        again["offered_until"] = case(
            (was_read, offered_until), else_=written_contact.c.offered_until
        )
    queued = new.on_conflict_do_update(
        index_elements=["appeal_id"], index_where=written_contact.c.done_at.is_(None), set_=again
    )
    found = await connection.execute(queued.returning(written_contact.c.id))
    contact_id: UUID = found.scalar_one()
    return contact_id


async def offer_next(
    connection: AsyncConnection,
    reader: ContactReader,
    *,
    now: datetime,
    timeout: timedelta,
    capacity: int,
    is_requested: bool,
) -> str | None:
    """Offer the first contact that this user can read; returns the number of its appeal.

    None: there is none, or the user has as many as may be. What the user let go lately is offered
    again if it `is_requested`, after all others. Of two who ask at once each gets another one.
    """
    await connection.execute(
        select(func.pg_advisory_xact_lock(func.hashtext(f"written_contact:{reader.user}")))
    )
    held = await list_held(connection, now, of=reader.user)
    if len(held) >= capacity or not all(each.is_in_hand for each in held):
        return None
    contact = written_contact
    is_let_go = and_(
        contact.c.holder.is_not_distinct_from(reader.user),
        contact.c.offered_until > now - NOT_AGAIN_INTERVAL,
    )
    waiting = select(contact.c.id).where(
        _is_waiting(now),
        contact.c.language.in_(reader.languages),
        or_(contact.c.skill.is_(None), contact.c.skill.in_(reader.skills)),
        contact.c.queued_at <= now - len(held) * HEAD_START_INTERVAL,
    )
    waiting = waiting.order_by(is_let_go) if is_requested else waiting.where(not_(is_let_go))
    first = waiting.order_by(*_BY_PRESSURE).limit(1).with_for_update(skip_locked=True)
    offered = (
        update(contact)
        .where(contact.c.id == first.scalar_subquery(), appeal.c.id == contact.c.appeal_id)
        .values(
            holder=reader.user,
            offered_until=now + timeout,
            returns=contact.c.returns + case((contact.c.holder.is_not(None), 1), else_=0),
        )
        .returning(appeal.c.number)
    )
    number: str | None = (await connection.execute(offered)).scalar_one_or_none()
    return number


async def withdraw_offers(connection: AsyncConnection, user: str, now: datetime) -> None:
    """Have what is offered to this user, and not read, wait for anybody: also for this one."""
    await connection.execute(
        update(written_contact)
        .where(_IS_UNREAD, written_contact.c.holder == user, written_contact.c.offered_until > now)
        .values(holder=None, offered_until=None)
    )


async def find_open(connection: AsyncConnection, appeal_id: UUID) -> OpenContact | None:
    """The contact of an appeal that is not done, locked."""
    query = select(written_contact.c.id, written_contact.c.holder, written_contact.c.read_at).where(
        written_contact.c.appeal_id == appeal_id, _IS_OPEN
    )
    row = (await connection.execute(query.with_for_update())).one_or_none()
    return None if row is None else OpenContact(*row)


async def mark_read(
    connection: AsyncConnection, contact_id: UUID, user: str, now: datetime
) -> None:
    """Put a contact into the hand of a user, who has read it."""
    await _change(connection, contact_id, holder=user, read_at=now, offered_until=None)


async def put_back(
    connection: AsyncConnection, contact_id: UUID, skill: str | None, now: datetime
) -> None:
    """Have a contact wait for anybody with this skill (None: anybody), its holder last."""
    values = {"read_at": None, "offered_until": now, "queued_at": now, "skill": skill}
    await _change(connection, contact_id, **values)


async def mark_done(
    connection: AsyncConnection, contact_id: UUID, author: str, now: datetime
) -> None:
    """End a contact; what is written later is another one."""
    await _change(connection, contact_id, done_at=now, done_by=author)


async def read_queue(connection: AsyncConnection, now: datetime) -> WrittenQueue:
    """The queue at this moment."""
    contact = written_contact
    counts = (
        func.count(),
        func.count().filter(contact.c.urgent),
        func.count().filter(contact.c.due_at < now),
        func.min(contact.c.queued_at),
    )
    waiting = _join().where(_is_waiting(now)).with_only_columns(*counts)
    row = (await connection.execute(waiting)).one()
    return WrittenQueue(row[0], row[1], row[2], row[3], await list_held(connection, now))


async def list_held(
    connection: AsyncConnection, now: datetime, *, of: str | None = None
) -> Sequence[WrittenContact]:
    """The contacts that are offered or in hand, of one user or of all: 500 at most."""
    held = or_(_IS_IN_HAND, and_(_IS_UNREAD, written_contact.c.offered_until > now))
    query = _join().where(held, written_contact.c.holder.is_not(None))
    if of is not None:
        query = query.where(written_contact.c.holder == of)
    return await _read(connection, query.limit(HELD_LIMIT))


async def list_unread_danger(connection: AsyncConnection, limit: int) -> Sequence[WrittenContact]:
    """The contacts of writers in danger that nobody has read, the first to be read first.

    Offered or not, `limit` of them at most: anybody can send any number.
    """
    is_danger = written_contact.c.urgent
    return await _read(connection, _join().where(_IS_UNREAD, is_danger).limit(limit))


async def count_unread_danger(connection: AsyncConnection) -> int:
    """The number of all contacts of writers in danger that nobody has read."""
    unread = _join().where(_IS_UNREAD, written_contact.c.urgent).with_only_columns(func.count())
    return int((await connection.execute(unread)).scalar_one())


async def list_overdue(
    connection: AsyncConnection, now: datetime, limit: int
) -> Sequence[WrittenContact]:
    """The contacts of others that should have been read by now, so many at most."""
    is_late = not_(written_contact.c.urgent) & (written_contact.c.due_at < now)
    return await _read(connection, _join().where(_IS_UNREAD, is_late).limit(limit))


async def find_contact(connection: AsyncConnection, appeal_id: UUID) -> WrittenContact | None:
    """The contact of an appeal that is to be read, or in hand."""
    found = await _read(connection, _join().where(_IS_OPEN, appeal.c.id == appeal_id))
    return found[0] if found else None


async def has_danger_since_done(connection: AsyncConnection, appeal_id: UUID) -> bool:
    """Whether a writer was in danger, and no contact of the appeal was done since."""
    contact, message = written_contact, intake_message
    is_done = exists().where(
        contact.c.appeal_id == message.c.appeal_id,
        contact.c.done_by != JOINED,
        contact.c.done_at >= message.c.stored_at,
    )
    said = exists().where(message.c.appeal_id == appeal_id, message.c.urgent, not_(is_done))
    return bool((await connection.execute(select(said))).scalar_one())


async def is_unread_by(connection: AsyncConnection, appeal_id: UUID, user: str) -> bool:
    """Whether something written there waits to be read, or another has it in hand."""
    contact = await find_open(connection, appeal_id)
    return contact is not None and not contact.is_in_hand_of(user)


async def move(connection: AsyncConnection, appeal_id: UUID, into: UUID) -> None:
    """Move the open contact of an appeal to the one that it goes on in.

    If both have one, that which is to be read first stands for both: unread, of danger, due.
    """
    contact = written_contact
    both = (
        select(contact.c.id)
        .where(_IS_OPEN, contact.c.appeal_id.in_((appeal_id, into)))
        .order_by(_IS_IN_HAND, *_BY_PRESSURE)
        .with_for_update()
    )
    found = (await connection.execute(both)).scalars().all()
    await _end(connection, JOINED, contact.c.id.in_(found[1:]))
    for each in found[:1]:
        await _change(connection, each, appeal_id=into)


async def end(connection: AsyncConnection, appeal_id: UUID, stage: AppealState) -> None:
    """End what was read of an appeal that nobody works on here any more.

    What is unread waits, but where there was no request: nothing is to be read there.
    """
    if stage in _WORKED_ON:
        return
    ended = _IS_OPEN if stage is AppealState.NO_REQUEST else _IS_IN_HAND
    await _end(connection, "system:ended", ended, written_contact.c.appeal_id == appeal_id)


async def give(connection: AsyncConnection, appeal_id: UUID, owner: str) -> None:
    """Give what somebody has in hand of an appeal to its new owner."""
    held = update(written_contact).where(_IS_IN_HAND, written_contact.c.appeal_id == appeal_id)
    await connection.execute(held.values(holder=owner))


def _join() -> Select[Any]:
    """Select contacts with their appeals."""
    return select(written_contact.c.id).join(appeal, appeal.c.id == written_contact.c.appeal_id)


async def _read(connection: AsyncConnection, query: Select[Any]) -> Sequence[WrittenContact]:
    """The contacts of a query, the first to be read first."""
    contact = written_contact
    columns: Sequence[Column[Any]] = (
        appeal.c.number,
        appeal.c.channel,
        contact.c.language,
        contact.c.skill,
        contact.c.urgent,
        contact.c.queued_at,
        contact.c.due_at,
        contact.c.holder,
        contact.c.offered_until,
        contact.c.read_at,
        contact.c.returns,
    )
    shown: Select[Any] = query.order_by(*_BY_PRESSURE).with_only_columns(*columns)
    return [WrittenContact(*row) for row in await connection.execute(shown)]


async def _end(connection: AsyncConnection, by: str, *which: ColumnElement[bool]) -> None:
    ended = update(written_contact).where(_IS_OPEN, *which)
    await connection.execute(ended.values(done_at=func.now(), done_by=by))


async def _change(connection: AsyncConnection, contact_id: UUID, **values: object) -> None:
    await connection.execute(
        update(written_contact).where(written_contact.c.id == contact_id).values(values)
    )
