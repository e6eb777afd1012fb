"""Oral contacts of appeals in PostgreSQL; their texts are sealed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import Select, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.rules.letters import LetterParty
from callcenter.appeals.rules.oral_contacts import OralContact
from callcenter.appeals.tables import oral_contact


@dataclass(frozen=True, slots=True)
class StoredContact:
    """An oral contact as it was noted, by whom."""

    contact: OralContact
    author: str
    noted_at: datetime


async def insert_new(
    connection: AsyncConnection, keys: RecordKeys, appeal_id: UUID, stored: StoredContact
) -> UUID:
    """Insert a note; returns its id."""
    identity, contact = uuid4(), stored.contact
    await connection.execute(
        insert(oral_contact).values(
            id=identity,
            appeal_id=appeal_id,
            party=contact.party.value,
            at=contact.at,
            author=stored.author,
            noted_at=stored.noted_at,
            sealed=keys.seal(identity, contact.texts),
        )
    )
    return identity


async def list_contacts(
    connection: AsyncConnection, keys: RecordKeys, of: Select[tuple[UUID]] | Sequence[UUID]
) -> list[StoredContact]:
    """Oral contacts of some appeals, the latest first. Raises DecryptionFailed."""
    rows = await connection.execute(
        select(oral_contact)
        .where(oral_contact.c.appeal_id.in_(of))
        .order_by(oral_contact.c.at.desc(), oral_contact.c.id)
    )
    return [
        StoredContact(
            OralContact(LetterParty(row.party), row.at, **keys.open(row.id, row.sealed)),
            row.author,
            row.noted_at,
        )
        for row in rows
    ]


async def move(connection: AsyncConnection, appeal_id: UUID, into: UUID) -> None:
    """Move the contacts of an appeal to the one that it goes on in."""
    await connection.execute(
        update(oral_contact).where(oral_contact.c.appeal_id == appeal_id).values(appeal_id=into)
    )
