"""Notes of oral contacts about an appeal (R10, R11, R21): party, post, moment and words.

A note stays as it was written: what is to be added is another note.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.actions import AppealAction
from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.extensions import AppealReading, TimelineEntry
from callcenter.appeals.followup.oral_contacts_store import (
    StoredContact,
    insert_new,
    list_contacts,
)
from callcenter.appeals.form import store as form_store
from callcenter.appeals.record import search_index, store
from callcenter.appeals.record.service import audit_appeal, get_appeal
from callcenter.appeals.rules.oral_contacts import OralContact, normalize
from callcenter.appeals.rules.states import AppealState
from callcenter.platform.core.errors import N_, InvalidRequest
from callcenter.platform.identity.actor import Actor
from callcenter.platform.storage.engine import unit_of_work

NOT_WRITTEN = N_("save the record first: the note is a part of it")


async def note(
    engine: AsyncEngine, keys: RecordKeys, actor: Actor, number: str, contact: OralContact
) -> UUID:
    """Note an oral contact about an appeal, which is found by it too.

    Raises InvalidRequest, NotFound.
    """
    now = datetime.now(UTC)
    contact = normalize(contact, now)
    async with unit_of_work(engine) as connection:
        row = await get_appeal(connection, number)
        found = await store.find(connection, keys, row.id, alone=True)
        if found.version == 0 or found.stage is AppealState.NO_REQUEST:
            raise InvalidRequest(NOT_WRITTEN)
        identity = await insert_new(
            connection, keys, row.id, StoredContact(contact, actor.who, now)
        )
        form = await form_store.read_form(connection)
        await search_index.index(connection, keys, form, row.id, found.content)
        await audit_appeal(
            connection, actor, AppealAction.ORAL_CONTACT_NOTED, number, contact=str(identity)
        )
    return identity


async def searchable(connection: AsyncConnection, keys: RecordKeys, appeal_id: UUID) -> list[str]:
    """Texts by which the appeal is found: of its own contacts, which are masked with it."""
    contacts = await list_contacts(connection, keys, [appeal_id])
    return [text for each in contacts for text in each.contact.texts.values() if text]


async def read_section(reading: AppealReading) -> Sequence[StoredContact]:
    """Oral contacts for the page of the appeal, and those of what it is a part of."""
    continued = store.select_continued(reading.appeal_id)
    return await list_contacts(reading.connection, reading.keys, continued)


async def read_timeline(reading: AppealReading) -> Sequence[TimelineEntry]:
    """Oral contacts in what was done about the appeal."""
    return [
        TimelineEntry(each.noted_at, each.author, N_("An oral contact: %(whom)s"), values)
        for each in await reading.once(read_section)
        for values in [{"whom": each.contact.whom or "–"}]
    ]
