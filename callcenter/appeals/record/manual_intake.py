"""Intake of appeals without a call, splitting and merging of appeals (R7)."""

from collections.abc import Collection
from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.actions import AppealAction
from callcenter.appeals.calls import store as appeals
from callcenter.appeals.calls.store import NewAppeal
from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.extensions import MovesWithAppeal
from callcenter.appeals.form import store as form_store
from callcenter.appeals.record import search_index, store, transitions_store
from callcenter.appeals.record.service import (
    add_transition,
    audit_appeal,
    get_appeal,
    guards_of,
    lock_record,
)
from callcenter.appeals.rules.new_contacts import NewContact, check_contact
from callcenter.appeals.rules.states import ENDED, AppealState, check_move
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.registry import offers
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.core.working_calendar import YearNotEntered
from callcenter.platform.identity.actor import Actor
from callcenter.platform.storage.engine import unit_of_work, within


async def register_contact(engine: AsyncEngine, actor: Actor, contact: NewContact) -> str:
    """Open the appeal of a contact; returns its number. The actor owns it.

    Raises InvalidRequest.
    """
    async with unit_of_work(engine) as connection:
        _, number = await open_contact(connection, contact, owner=actor.name)
        await audit_appeal(
            connection,
            actor,
            AppealAction.APPEAL_OPENED,
            number,
            channel=contact.channel.value,
        )
    return number


async def open_contact(
    connection: AsyncConnection, contact: NewContact, *, owner: str | None
) -> tuple[UUID, str]:
    """Open the appeal of a contact in this transaction; returns its id and number.

    It is due for registration on its legal date (APPC, 64(3)). Raises InvalidRequest.
    """
    now, caller = datetime.now(UTC), contact.caller
    check_contact(contact, now)
    opening = NewAppeal(
        uuid4(),
        None,
        contact.channel.value,
        caller.kind,
        caller.number,
        contact.received_at,
        contact.number or None,
    )
    [number] = await appeals.open_appeals(within(connection), [opening])
    appeal_id = opening.appeal_id
    await appeals.set_language(connection, appeal_id=appeal_id, language=contact.language)
    await appeals.close_appeal(connection, appeal_id=appeal_id, outcome="received", ended_at=now)
    begun = await _initial_values(connection, owner, contact.received_at)
    await store.change_row(connection, store.Record(appeal_id), **begun)
    return appeal_id, number


async def split(
    engine: AsyncEngine,
    keys: RecordKeys,
    actor: Actor,
    number: str,
    version: int,
    keys_of_part: Collection[str],
) -> str:
    """Split these fields of an appeal off as an appeal of its own; returns its number.

    Each part goes to its own body (APPC, 65(2)). Raises InvalidRequest, EditConflict.
    """
    async with unit_of_work(engine) as connection:
        row = await get_appeal(connection, number)
        part = NewAppeal(
            uuid4(), None, row.channel, row.caller_kind, row.caller_number, row.received_at
        )
        [new] = await appeals.open_appeals(within(connection), [part])  # before any is locked
        record = await lock_record(connection, keys, actor, row.id, version, {})
        if record.stage in ENDED or record.version == 0:
            raise InvalidRequest("only an appeal that is saved and goes on can be split")
        form = await form_store.read_form(connection)
        visible = form.visible(record.content, guards_of(actor))
        content = {key: visible[key] for key in keys_of_part if key in visible}
        if not content:
            raise InvalidRequest("choose what of the appeal the part is to have")
        if row.language:
            await appeals.set_language(connection, appeal_id=part.appeal_id, language=row.language)
        await appeals.close_appeal(
            connection, appeal_id=part.appeal_id, outcome="received", ended_at=datetime.now(UTC)
        )
        update = store.RecordUpdate(
            store.Record(part.appeal_id),
            record.kind,
            content,
            actor.who,
            guards_of(actor),
            previous=content,
        )
        made = await store.save(connection, keys, form, update)
        begun = await _initial_values(connection, actor.name, row.received_at)
        version = made.version + 1
        await store.change_row(connection, made, version=version, part_of=row.id, **begun)
        for each in offers(MovesWithAppeal):
            if each.split is not None:
                await each.split(connection, row.id, part.appeal_id)
        # A new version, so that the same request sent twice makes one part.
        await add_transition(connection, actor, record, record.stage, f"split: {new}", {})
        await audit_appeal(connection, actor, AppealAction.RECORD_SPLIT, number, part=new)
    return new


async def merge(
    engine: AsyncEngine,
    keys: RecordKeys,
    actor: Actor,
    number: str,
    version: int,
    into: str,
    reason: str,
) -> store.Record:
    """Merge an appeal into another one. Raises as `move` does, and InvalidRequest."""
    async with unit_of_work(engine) as connection:
        row, other = await get_appeal(connection, number), await get_appeal(connection, into)
        locked = {  # in one order, whichever is merged into the other
            each: await store.find(connection, keys, each, alone=True)
            for each in sorted({row.id, other.id})
        }
        record = await lock_record(connection, keys, actor, row.id, version, {})
        target = locked[other.id]
        if other.id == row.id or target.stage in ENDED:
            raise InvalidRequest("an appeal is joined to another one that goes on")
        check_move(record.stage, AppealState.JOINED, record.facts, reason)
        await _transfer_terms(connection, record, target)
        await add_transition(
            connection, actor, record, AppealState.JOINED, reason, {"joined_to": other.id}
        )
        for each in offers(MovesWithAppeal):
            if each.joined is not None:
                await each.joined(connection, row.id, other.id)
        form = await form_store.read_form(connection)
        for saved in (record, target):
            if saved.version:
                await search_index.index(connection, keys, form, saved.appeal_id, saved.content)
        if target.version:  # else nothing is written there, and its page lists the merged appeals
            await transitions_store.add(
                connection, other.id, actor.who, target.stage, target.stage, f"joined: {number}"
            )
        detail = {"before": record.stage.value, "after": AppealState.JOINED.value, "into": into}
        await audit_appeal(connection, actor, AppealAction.RECORD_MOVED, number, **detail)
        return await store.find(connection, keys, row.id)


async def _initial_values(
    connection: AsyncConnection, owner: str | None, received_at: datetime
) -> dict[str, object]:
    """Owner and first deadline of an appeal that no call opened."""
    law = await form_store.read_law(connection)
    try:
        due = law.registered_on(received_at)
    except YearNotEntered:  # of years ago, or the next one
        due = received_at.astimezone(ZONE).date()
    return {"owner": owner, "forward_due_on": due}


async def _transfer_terms(
    connection: AsyncConnection, record: store.Record, target: store.Record
) -> None:
    """Transfer running terms to the target of a merge, where they end sooner.

    Raises InvalidRequest when the target has no term of an answer: none would be alerted about.
    """
    if record.due_on is not None and target.registered_on is None:
        raise InvalidRequest("its term runs: join it to an appeal that is registered too")
    values: dict[str, object] = {}
    if record.due_on and target.due_on and record.due_on < target.due_on:
        values = {"due_on": record.due_on, "due_article": record.due_article}
    if record.notice_due_on is not None:
        due = min(record.notice_due_on, target.notice_due_on or record.notice_due_on)
        values["notice_due_on"] = due
    if values:
        await store.change_row(connection, target, **values)
