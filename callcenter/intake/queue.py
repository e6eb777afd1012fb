"""Written contacts beside calls: offered, read, given back, done; each step is audited.

A call wins: a contact is offered between calls alone, and never keeps one from its consultant.
"""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.record import store as records
from callcenter.appeals.record.service import audit_appeal, get_appeal
from callcenter.consultants import store as consultants
from callcenter.consultants.permissions import ConsultantPermission
from callcenter.consultants.reference_lists import ListKind, list_entries
from callcenter.intake import queue_store as store
from callcenter.intake.actions import IntakeAction
from callcenter.intake.queue_store import OpenContact
from callcenter.intake.rules.queue import ContactReader, due_at
from callcenter.intake.store import find_newest
from callcenter.platform.core.errors import N_, Conflict, InvalidRequest
from callcenter.platform.core.settings import Settings
from callcenter.platform.identity.actor import Actor
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import enqueue_once

ALERT_JOB = "intake.alert"
NOTHING_WRITTEN = N_("nothing written waits here any more: look at it as it is now")
OF_ANOTHER = N_("somebody else has it in hand: a supervisor can give it back to the queue")
DEALT_BY_ANOTHER = N_(
    "somebody else has this appeal in hand: choose the next consultant, and it goes to them first"
)
UNREAD = N_("something there is still to be read: read it first")
NO_SKILL = N_("there is no such skill: choose one of the list")


async def enqueue(
    connection: AsyncConnection,
    settings: Settings,
    appeal_id: UUID,
    owner: str | None,
    language: str,
    *,
    received_at: datetime,
    now: datetime,
    is_urgent: bool = False,
    read_by: str | None = None,
) -> None:
    """Queue an appeal in the transaction that stores what is to be read there.

    Whoever answers for the appeal is the first to be offered it. Danger alerts supervisors. A user
    who has read it already (`read_by`) has it in hand, unless more is to be read there. Raises
    Conflict when another has.
    """
    goal = timedelta(seconds=settings.written_goal)
    before = await store.find_open(connection, appeal_id)
    is_read = before is None or before.read_at is not None
    if read_by is not None and is_read and before is not None and before.holder != read_by:
        raise Conflict(DEALT_BY_ANOTHER)
    contact_id = await store.enqueue(
        connection,
        appeal_id,
        language=language,
        is_urgent=is_urgent,
        due_at=due_at(received_at, goal, is_urgent=is_urgent),
        now=now,
        offered_to=owner,
        offered_until=now + timedelta(seconds=settings.written_offer_timeout),
    )
    if read_by is not None and is_read:
        await store.mark_read(connection, contact_id, read_by, now)
    elif is_urgent:
        await enqueue_once(connection, ALERT_JOB)


async def offer_next(
    engine: AsyncEngine,
    settings: Settings,
    actor: Actor,
    extension: str,
    *,
    is_requested: bool = False,
) -> str | None:
    """Offer a consultant the next contact of their languages and skills; its appeal's number.

    None: there is none for them, or they have as many as they may have; what they let go lately is
    offered again only if they request it (`is_requested`). Nothing of it is read yet, so the offer
    is no look at personal data. Raises InvalidRequest for an unknown extension.
    """
    async with unit_of_work(engine) as connection:
        own = await consultants.find(connection, extension)
        return await store.offer_next(
            connection,
            ContactReader(actor.name, own.languages, tuple(own.skills)),
            now=datetime.now(UTC),
            timeout=timedelta(seconds=settings.written_offer_timeout),
            capacity=settings.written_capacity,
            is_requested=is_requested,
        )


async def withdraw_offers(engine: AsyncEngine, actor: Actor) -> None:
    """Have what is offered to the actor and not read wait for anybody: a call has come."""
    async with unit_of_work(engine) as connection:
        await store.withdraw_offers(connection, actor.name, datetime.now(UTC))


async def take(
    engine: AsyncEngine,
    keys: RecordKeys,
    actor: Actor,
    number: str,
    newest: UUID | None = None,
) -> None:
    """Take a contact into the own hand, as read; whoever does has an appeal that nobody has.

    Again by its holder: what came meanwhile is read, too, up to the `newest` message that was
    shown. Raises NotFound; Conflict when a newer one has come, nothing is to be read there, or
    somebody else has read it.
    """
    now = datetime.now(UTC)
    async with unit_of_work(engine) as connection:
        row = await get_appeal(connection, number)
        before = await records.find(connection, keys, row.id, alone=True)  # as a message locks
        contact = await _find_open(connection, row.id)
        if contact.read_at is not None and contact.holder != actor.name:
            raise Conflict(OF_ANOTHER)
        if newest is not None and newest != await find_newest(connection, row.id):
            raise Conflict(UNREAD)
        await store.mark_read(connection, contact.id, actor.name, now)
        if before.owner is None:
            await records.change_row(connection, before, owner=actor.name)
        await audit_appeal(connection, actor, IntakeAction.CONTACT_TAKEN, number)


async def give_back(engine: AsyncEngine, actor: Actor, number: str, skill: str = "") -> None:
    """Give a contact back to the queue, for somebody with this skill, or for anybody.

    Raises NotFound; Conflict when it is another's, unless the actor supervises; InvalidRequest.
    """
    async with unit_of_work(engine) as connection:
        row = await get_appeal(connection, number)
        contact = await _find_own(connection, actor, row.id)
        if skill and skill not in await _skills(connection):
            raise InvalidRequest(NO_SKILL)
        await store.put_back(connection, contact.id, skill or None, datetime.now(UTC))
        detail = {"holder": contact.holder or "", "skill": skill}
        await audit_appeal(connection, actor, IntakeAction.CONTACT_GIVEN_BACK, number, **detail)


async def finish(engine: AsyncEngine, actor: Actor, number: str) -> None:
    """Put a contact out of hand: it was read, and nothing is to be written now.

    Raises as `give_back` does, and Conflict when something of it is unread.
    """
    async with unit_of_work(engine) as connection:
        row = await get_appeal(connection, number)
        contact = await _find_own(connection, actor, row.id)
        if contact.read_at is None:
            raise Conflict(UNREAD)
        await store.mark_done(connection, contact.id, actor.who, datetime.now(UTC))
        await audit_appeal(connection, actor, IntakeAction.CONTACT_DONE, number)


async def _find_open(connection: AsyncConnection, appeal_id: UUID) -> OpenContact:
    contact = await store.find_open(connection, appeal_id)
    if contact is None:
        raise Conflict(NOTHING_WRITTEN)
    return contact


async def _find_own(connection: AsyncConnection, actor: Actor, appeal_id: UUID) -> OpenContact:
    contact = await _find_open(connection, appeal_id)
    if contact.holder != actor.name and not actor.may(ConsultantPermission.SUPERVISE):
        raise Conflict(OF_ANOTHER)
    return contact


async def _skills(connection: AsyncConnection) -> set[str]:
    entries = await list_entries(connection, ListKind.SKILL)
    return {each.code for each in entries if each.active}
