"""Store of wishes about contact: they are added, found by number or appeal, and copied."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Row,
    Select,
    Text,
    Uuid,
    and_,
    delete,
    exists,
    insert,
    literal,
    or_,
    select,
    tuple_,
    union,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls.tables import appeal
from callcenter.appeals.contact.rules import (
    EVERY,
    SOMEBODY,
    AppealNumbers,
    ContactHours,
    ContactWish,
)
from callcenter.appeals.contact.tables import contact_wish
from callcenter.appeals.tables import record, record_search

_later = contact_wish.alias("later")

#: Condition of a wish that closes a number still: it stays when its appeal is masked.
IS_IN_FORCE = and_(
    contact_wish.c.number.is_not(None),
    or_(~contact_wish.c.allowed, contact_wish.c.hours_from.is_not(None)),
    ~exists().where(
        _later.c.number == contact_wish.c.number,
        _later.c.channel.in_([EVERY, contact_wish.c.channel]),
        _later.c.person.in_([SOMEBODY, contact_wish.c.person]),
        tuple_(_later.c.at, _later.c.id) > tuple_(contact_wish.c.at, contact_wish.c.id),
    ),
)


async def add(connection: AsyncConnection, appeal_id: UUID, wishes: Sequence[ContactWish]) -> None:
    """Add what was said about an appeal, in this order.

    Words about a number whose appeals are masked have ended once there is a new one.
    """
    for wish in wishes:
        if wish.number is not None and wish.person == SOMEBODY:
            await _delete_ended(connection, wish.number, wish.channel)
        await connection.execute(
            insert(contact_wish).values(
                appeal_id=appeal_id,
                person=wish.person,
                number=wish.number,
                channel=wish.channel,
                allowed=wish.allowed,
                hours_from=wish.hours and wish.hours.start,
                hours_to=wish.hours and wish.hours.end,
                at=wish.at,
                author=wish.author,
            )
        )


async def list_of_appeal(connection: AsyncConnection, appeal_id: UUID) -> list[ContactWish]:
    """The wishes that were said about an appeal, in their order."""
    query = select(contact_wish).where(contact_wish.c.appeal_id == appeal_id)
    rows = await connection.execute(query.order_by(contact_wish.c.at, contact_wish.c.id))
    return [_wish(row) for row in rows]


async def list_of_number(connection: AsyncConnection, number: str) -> list[ContactWish]:
    """The wishes that concern a number (E.164): about itself, or all numbers of who has it."""
    appeals = union(
        select(appeal.c.id).where(appeal.c.caller_number == number),
        select(record_search.c.appeal_id).where(
            record_search.c.terms.op("&&", is_comparison=True)(literal([number], ARRAY(Text)))
        ),
    ).subquery()
    # Apart, so that each is found by its index.
    found = union(
        select(contact_wish.c.id).where(contact_wish.c.number == number),
        select(contact_wish.c.id).where(
            contact_wish.c.number.is_(None), contact_wish.c.appeal_id.in_(select(appeals.c.id))
        ),
    ).subquery()
    query = (
        select(contact_wish, appeal.c.caller_number, record.c.content)
        .join(found, found.c.id == contact_wish.c.id)
        .outerjoin(appeal, appeal.c.id == contact_wish.c.appeal_id)
        .outerjoin(record, record.c.appeal_id == contact_wish.c.appeal_id)
        .order_by(contact_wish.c.at, contact_wish.c.id)
    )
    return [
        _wish(row)
        for row in await connection.execute(query)
        if row.number is not None
        or AppealNumbers.of(row.caller_number, row.content or {}).concern(row.person, number)
    ]


async def list_of_person(
    connection: AsyncConnection, appeal_id: UUID, person: str
) -> list[ContactWish]:
    """The wishes of a person of an appeal, or of whoever called, about no number."""
    return of_person(await list_of_appeal(connection, appeal_id), person)


def of_person(wishes: Sequence[ContactWish], person: str) -> list[ContactWish]:
    """The wishes of a person of an appeal, or of whoever called, about no number."""
    return [each for each in wishes if each.number is None and each.person in (SOMEBODY, person)]


async def find_numbers(connection: AsyncConnection, appeal_id: UUID) -> AppealNumbers:
    """The numbers on an appeal."""
    query = (
        select(appeal.c.caller_number, record.c.content, record_search.c.terms)
        .outerjoin(record, record.c.appeal_id == appeal.c.id)
        .outerjoin(record_search, record_search.c.appeal_id == appeal.c.id)
        .where(appeal.c.id == appeal_id)
    )
    row = (await connection.execute(query)).one()
    return AppealNumbers.of(row.caller_number, row.content or {}, row.terms or ())


async def copy(connection: AsyncConnection, appeal_id: UUID, to: UUID) -> None:
    """Copy the wishes of an appeal to the one that it goes on in, or to a part of it."""
    names = [each.name for each in contact_wish.c if each.name not in ("id", "appeal_id")]
    said: Select[Any] = (
        select(literal(to, Uuid), *(contact_wish.c[name] for name in names))
        .where(contact_wish.c.appeal_id == appeal_id)
        .order_by(contact_wish.c.at, contact_wish.c.id)
    )
    await connection.execute(insert(contact_wish).from_select(["appeal_id", *names], said))


async def _delete_ended(connection: AsyncConnection, number: str, channel: str) -> None:
    ended = delete(contact_wish).where(
        contact_wish.c.number == number, contact_wish.c.appeal_id.is_(None)
    )
    if channel != EVERY:
        ended = ended.where(contact_wish.c.channel == channel)
    await connection.execute(ended)


def _wish(row: Row[Any]) -> ContactWish:
    hours = None if row.hours_from is None else ContactHours(row.hours_from, row.hours_to)
    return ContactWish(
        row.person, row.number, row.channel, row.allowed, row.at, hours, row.author, row.id
    )
