"""The directory of state bodies in PostgreSQL."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Row, delete, insert, select, true, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.bodies.rules.directory import (
    Body,
    BodyContact,
    BodyKind,
    BodyName,
    ContactMethod,
    Directory,
)
from callcenter.bodies.tables import body, body_contact, body_name, body_referral
from callcenter.platform.core.errors import VersionConflict


@dataclass(frozen=True, slots=True)
class Referral:
    """A body that a caller was referred to, as it was said."""

    body: str
    said: str
    author: str
    at: datetime


async def read_directory(connection: AsyncConnection) -> Directory:
    """All bodies with names and contacts, those of the country first."""
    return Directory(await _read(connection, true(), true(), true()))


async def read_bodies(connection: AsyncConnection, codes: Collection[str]) -> dict[str, Body]:
    """These bodies with names and contacts, by code."""
    found = await _read(
        connection,
        *(each.in_(codes) for each in (body.c.code, body_name.c.body, body_contact.c.body)),
    )
    return {each.code: each for each in found}


async def _read(
    connection: AsyncConnection,
    of_body: ColumnElement[bool],
    of_name: ColumnElement[bool],
    of_contact: ColumnElement[bool],
) -> list[Body]:
    """Bodies with names and contacts, by conditions on the three tables."""
    names: dict[str, list[BodyName]] = {}
    written = select(body_name).where(of_name).order_by(body_name.c.valid_from)
    for row in await connection.execute(written):
        name = BodyName(row.valid_from, row.kk, row.ru, row.en)
        names.setdefault(row.body, []).append(name)
    contacts: dict[str, list[BodyContact]] = {}
    ways = select(body_contact).where(of_contact).order_by(body_contact.c.position)
    for row in await connection.execute(ways):
        contacts.setdefault(row.body, []).append(_contact(row))
    rows = await connection.execute(
        select(body).where(of_body).order_by(body.c.region, body.c.district, body.c.code)
    )
    return [
        Body(
            code=row.code,
            kind=BodyKind(row.kind),
            names=tuple(names[row.code]),
            parent=row.parent,
            region=row.region,
            district=row.district,
            directions=tuple(row.directions),
            topics=tuple(row.topics),
            contacts=tuple(contacts.get(row.code, ())),
            working_hours=row.working_hours,
            ended_on=row.ended_on,
            version=row.version,
        )
        for row in rows
    ]


async def read_working_hours(connection: AsyncConnection, codes: Collection[str]) -> dict[str, str]:
    """Working hours of these bodies as they are stored, by code."""
    query = select(body.c.code, body.c.working_hours).where(body.c.code.in_(codes))
    rows = await connection.execute(query)
    return {row.code: row.working_hours for row in rows}


async def put(connection: AsyncConnection, new: Body, author: str) -> int:
    """Store a body on top of its version; returns the next one.

    Contacts stay as they are where nothing of them changed. Raises VersionConflict.
    """
    values = {
        "kind": new.kind.value,
        "parent": new.parent,
        "region": new.region,
        "district": new.district,
        "directions": list(new.directions),
        "topics": list(new.topics),
        "working_hours": new.working_hours,
        "ended_on": new.ended_on,
        "version": new.version + 1,
        "author": author,
        "at": datetime.now(UTC),
    }
    statement = upsert(body).values(code=new.code, **values)
    statement = (
        statement.on_conflict_do_update(
            index_elements=["code"], set_=values, where=body.c.version == new.version
        )
        if new.version
        else statement.on_conflict_do_nothing()
    )
    stored = await connection.execute(statement.returning(body.c.version))
    if stored.scalar_one_or_none() is None:
        raise VersionConflict
    await connection.execute(delete(body_name).where(body_name.c.body == new.code))
    await connection.execute(
        insert(body_name),
        [
            {"body": new.code, "valid_from": n.valid_from, "kk": n.kk, "ru": n.ru, "en": n.en}
            for n in new.names
        ],
    )
    await _put_contacts(connection, new)
    return new.version + 1


async def _put_contacts(connection: AsyncConnection, new: Body) -> None:
    rows = await connection.execute(select(body_contact).where(body_contact.c.body == new.code))
    before = {contact.content: contact for contact in map(_contact, rows)}
    stay = {contact.content for contact in new.contacts}
    gone = [contact.id for content, contact in before.items() if content not in stay]
    await connection.execute(delete(body_contact).where(body_contact.c.id.in_(gone)))
    for position, contact in enumerate(new.contacts):
        if (old := before.get(contact.content)) is not None:
            await connection.execute(
                update(body_contact).where(body_contact.c.id == old.id).values(position=position)
            )
            continue
        method, value, languages, hours, source = contact.content
        await connection.execute(
            insert(body_contact).values(
                id=uuid4(),
                body=new.code,
                position=position,
                method=method.value,
                value=value,
                languages=list(languages),
                hours=hours,
                source=source,
            )
        )


async def mark_verified(
    connection: AsyncConnection, code: str, contact_id: UUID, author: str
) -> bool:
    """Note that a contact was tried and works; False when there is no such contact."""
    values = {"verified_at": datetime.now(UTC), "verified_by": author}
    return await _mark(connection, code, contact_id, failed_at=None, failure=None, **values)


async def mark_failed(
    connection: AsyncConnection, code: str, contact_id: UUID, failure: str
) -> bool:
    """Note that a contact does not work; False when there is no such contact."""
    return await _mark(connection, code, contact_id, failed_at=datetime.now(UTC), failure=failure)


async def _mark(connection: AsyncConnection, code: str, contact_id: UUID, **values: object) -> bool:
    marked = await connection.execute(
        update(body_contact)
        .where(body_contact.c.id == contact_id, body_contact.c.body == code)
        .values(values)
    )
    return marked.rowcount > 0


async def insert_referral(connection: AsyncConnection, appeal_id: UUID, new: Referral) -> None:
    """Insert a body that the caller was referred to."""
    await connection.execute(
        insert(body_referral).values(
            id=uuid4(),
            appeal_id=appeal_id,
            body=new.body,
            said=new.said,
            author=new.author,
            at=new.at,
        )
    )


async def list_referrals(connection: AsyncConnection, appeal_id: UUID) -> Sequence[Referral]:
    """Bodies that the caller of an appeal was referred to, the latest first."""
    rows = await connection.execute(
        select(body_referral)
        .where(body_referral.c.appeal_id == appeal_id)
        .order_by(body_referral.c.at.desc())
    )
    return [Referral(row.body, row.said, row.author, row.at) for row in rows]


async def move_referrals(connection: AsyncConnection, appeal_id: UUID, into: UUID) -> None:
    """Move the referrals of an appeal to the one that it goes on in."""
    await connection.execute(
        update(body_referral).where(body_referral.c.appeal_id == appeal_id).values(appeal_id=into)
    )


def _contact(row: Row[Any]) -> BodyContact:
    return BodyContact(
        method=ContactMethod(row.method),
        value=row.value,
        languages=tuple(row.languages),
        hours=row.hours,
        source=row.source,
        id=row.id,
        verified_at=row.verified_at,
        verified_by=row.verified_by,
        failed_at=row.failed_at,
        failure=row.failure,
    )
