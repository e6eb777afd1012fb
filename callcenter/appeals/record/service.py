"""Actions on the record of an appeal: each is one transaction with one audit entry."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from types import EllipsisType
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.actions import AppealAction
from callcenter.appeals.calls import store as appeals
from callcenter.appeals.calls.store import AppealRow
from callcenter.appeals.contact import service as contact
from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.extensions import HeldByBody, MovesWithAppeal, UnreadBy
from callcenter.appeals.form import store as form_store
from callcenter.appeals.permissions import AppealPermission
from callcenter.appeals.record import drafts, no_request, store, transitions_store
from callcenter.appeals.record.store import Record, RecordUpdate
from callcenter.appeals.rules.deadlines import DeadlineKind
from callcenter.appeals.rules.fields import AccessRule, Content, Form, Value, WrongContent
from callcenter.appeals.rules.states import (
    FORMAL,
    NO_BODY_HAS_IT,
    AppealKind,
    AppealState,
    Disposition,
    TransitionFacts,
    check_move,
)
from callcenter.platform.audit.actions import Action
from callcenter.platform.core.errors import N_, Conflict, InvalidRequest, NotFound
from callcenter.platform.core.registry import offers
from callcenter.platform.core.timezone import ZONE
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.storage.engine import joined_unit_of_work, unit_of_work

WITHOUT_REQUEST = N_("there was no request, and nothing personal is stored: first open it again")


class TypedBeforeErasure(Conflict):
    """There was no request: what was typed before the appeal was closed is not stored."""


@dataclass(frozen=True, slots=True)
class RecordView:
    """An appeal with its record, form and draft, as one person may see them."""

    row: AppealRow
    record: Record
    form: Form
    draft: drafts.Draft | None
    guards: frozenset[AccessRule]

    @property
    def visible(self) -> Content:
        """The part of the content that this person may see."""
        return self.form.visible(self.record.content, self.guards)


def guards_of(actor: Actor) -> frozenset[AccessRule]:
    """The access rules that an actor passes: they decide which fields are visible."""
    lock_record = {AccessRule.OPEN}
    if actor.may(AppealPermission.SEE_PERSONAL):
        lock_record.add(AccessRule.PERSONAL)
    if actor.may(AppealPermission.SEE_SENSITIVE):
        lock_record.add(AccessRule.SENSITIVE)
    return frozenset(lock_record)


async def open_record(
    engine: AsyncEngine, keys: RecordKeys, actor: Actor, number: str
) -> RecordView:
    """Open a record for reading. Raises NotFound; DecryptionFailed without the key."""
    async with unit_of_work(engine) as connection:
        return await read_record(connection, keys, actor, number)


async def read_record(
    connection: AsyncConnection, keys: RecordKeys, actor: Actor, number: str
) -> RecordView:
    """Open a record for reading in this transaction. Raises as `open_record` does."""
    row = await get_appeal(connection, number)
    return RecordView(
        row,
        await store.find(connection, keys, row.id),
        await form_store.read_form(connection),
        await drafts.find(connection, keys, row.id, actor.who),
        guards_of(actor),
    )


async def save_draft(
    engine: AsyncEngine, keys: RecordKeys, actor: Actor, number: str, version: int, content: Content
) -> datetime:
    """Save unsaved input as the actor's draft; returns when. The record does not change.

    Raises TypedBeforeErasure.
    """
    async with unit_of_work(engine) as connection:
        row = await get_appeal(connection, number)
        before = await store.find(connection, keys, row.id, alone=True)
        if before.stage is AppealState.NO_REQUEST and version < before.version:
            raise TypedBeforeErasure
        return await drafts.save(
            connection,
            keys,
            row.id,
            author=actor.who,
            version=version,
            content=content,
        )


async def discard_draft(engine: AsyncEngine, actor: Actor, number: str) -> None:
    """Delete the actor's draft; there may be none."""
    async with unit_of_work(engine) as connection:
        await drafts.delete(connection, (await get_appeal(connection, number)).id, actor.who)


async def save(
    engine: AsyncEngine,
    keys: RecordKeys,
    actor: Actor,
    number: str,
    version: int,
    kind: AppealKind | None,
    content: Content,
) -> Record:
    """Save content on top of the version that the actor saw, and delete their draft.

    Raises WrongContent, EditConflict; InvalidRequest for a kind that stores no content. Content
    of what was no request is wrong.
    """
    if kind is AppealKind.NO_REQUEST:
        raise InvalidRequest("where there was no request nothing is entered: close it as such")
    async with unit_of_work(engine) as connection:
        row = await get_appeal(connection, number)
        form = await form_store.read_form(connection)
        before = await lock_record(connection, keys, actor, row.id, version, content)
        if before.stage is AppealState.NO_REQUEST and any(content.values()):
            raise WrongContent({key: WITHOUT_REQUEST for key, value in content.items() if value})
        update = RecordUpdate(before, kind, content, actor.who, guards_of(actor))
        after = await store.save(connection, keys, form, update)
        await contact.record_fields(connection, row.id, before.content, after.content, actor.who)
        await drafts.delete(connection, row.id, actor.who)
        await audit_appeal(
            connection, actor, AppealAction.RECORD_SAVED, number, version=after.version
        )
        return after


async def change(
    engine: AsyncEngine,
    keys: RecordKeys,
    actor: Actor,
    number: str,
    version: int,
    changes: Mapping[str, Value | None],
    kind: AppealKind | EllipsisType | None = ...,
) -> Record:
    """Save new values of some fields; None empties one, others and a kind of `...` stay.

    Raises as `save` does.
    """
    typed = {key: value for key, value in changes.items() if value is not None}
    async with joined_unit_of_work(engine) as connection:
        row = await get_appeal(connection, number)
        before = await lock_record(connection, keys, actor, row.id, version, typed)
        form = await form_store.read_form(connection)
        visible = form.visible(before.content, guards_of(actor))
        content = {key: each for key, each in visible.items() if key not in changes} | typed
        after = before.kind if isinstance(kind, EllipsisType) else kind
        return await save(engine, keys, actor, number, version, after, content)


async def move(
    engine: AsyncEngine,
    keys: RecordKeys,
    actor: Actor,
    number: str,
    version: int,
    after: AppealState,
    reason: str = "",
) -> Record:
    """Move an appeal to another stage.

    `registered` sets its legal date, term and code; `no_request` erases personal data. Raises
    IllegalTransition, MissingRequirements, EditConflict.
    """
    async with unit_of_work(engine) as connection:
        row = await get_appeal(connection, number)
        before = await lock_record(connection, keys, actor, row.id, version, {})
        facts = await _read_facts(connection, before)
        facts = replace(facts, all_read=await _has_read_all(connection, actor, row.id))
        check_move(before.stage, after, facts, reason)
        values = await _changes_of_move(connection, actor, row, before, after)
        if after is AppealState.NO_REQUEST:
            form = await form_store.read_form(connection)
            await no_request.erase(connection, keys, form, before)
        await add_transition(connection, actor, before, after, reason, values)
        for each in offers(MovesWithAppeal):
            if each.entered is not None:
                await each.entered(connection, row.id, after)
        steps = {"before": before.stage.value, "after": after.value}
        await audit_appeal(connection, actor, AppealAction.RECORD_MOVED, number, **steps)
        return await store.find(connection, keys, row.id)


async def take_from_bodies(
    engine: AsyncEngine, keys: RecordKeys, actor: Actor, number: str
) -> None:
    """Move an appeal with a state body back into work, unless a body has it still (R22).

    Raises NotFound.
    """
    async with joined_unit_of_work(engine) as connection:
        row = await get_appeal(connection, number)
        before = await store.find(connection, keys, row.id, alone=True)
        facts = await _read_facts(connection, before)
        if before.stage is AppealState.FORWARDED and not facts.with_body:
            after = AppealState.IN_WORK
            await move(engine, keys, actor, number, before.version, after, NO_BODY_HAS_IT)


async def close_without_request(
    engine: AsyncEngine,
    keys: RecordKeys,
    actor: Actor,
    number: str,
    version: int,
    disposition: Disposition,
) -> Record:
    """Close an appeal in which there was no request, and erase its personal data.

    Its disposition is kept: also the reason of a consultant who hung up on a caller. Raises
    EditConflict; IllegalTransition beyond the stage of a contact.
    """
    async with joined_unit_of_work(engine) as connection:
        row = await get_appeal(connection, number)
        before = await lock_record(connection, keys, actor, row.id, version, {})
        facts = replace(before.facts, kind=AppealKind.NO_REQUEST)
        check_move(before.stage, AppealState.NO_REQUEST, facts, "")
        values = {"kind": AppealKind.NO_REQUEST, "disposition": disposition}
        await store.change_row(connection, before, version=version + 1, **values)
        return await move(engine, keys, actor, number, version + 1, AppealState.NO_REQUEST)


async def extend(
    engine: AsyncEngine,
    keys: RecordKeys,
    actor: Actor,
    number: str,
    version: int,
    until: date,
    reason: str,
) -> Record:
    """Extend the term of the answer, once (APPC, 76(3)).

    Raises NotExtended, InvalidRequest, EditConflict.
    """
    async with unit_of_work(engine) as connection:
        row = await get_appeal(connection, number)
        before = await lock_record(connection, keys, actor, row.id, version, {})
        if before.kind not in FORMAL or before.due_on is None or before.extended:
            raise InvalidRequest("only the term of a registered appeal is extended, and only once")
        if not reason.strip():
            raise InvalidRequest(
                "say which facts must be established: the term is extended for them"
            )
        law = await form_store.read_law(connection)
        due, notice = law.extend(before.kind, _today(), until)
        values = {
            "due_on": due.on,
            "due_article": due.article,
            "notice_due_on": notice.on,
            "extended": True,
        }
        await add_transition(connection, actor, before, before.stage, reason, values)
        await audit_appeal(
            connection, actor, AppealAction.RECORD_EXTENDED, number, until=due.on.isoformat()
        )
        return await store.find(connection, keys, row.id)


async def confirm_extension_notice(
    engine: AsyncEngine, keys: RecordKeys, actor: Actor, number: str, version: int, how: str
) -> Record:
    """Record that the applicant was notified of an extension (APPC, 76(3)).

    Raises InvalidRequest, EditConflict.
    """
    if not how.strip():
        raise InvalidRequest("say how the applicant was told")
    async with unit_of_work(engine) as connection:
        row = await get_appeal(connection, number)
        before = await lock_record(connection, keys, actor, row.id, version, {})
        if before.notice_due_on is None:
            raise InvalidRequest("the applicant is to be told of no extension")
        await add_transition(connection, actor, before, before.stage, how, {"notice_due_on": None})
        await audit_appeal(connection, actor, AppealAction.EXTENSION_TOLD, number)
        return await store.find(connection, keys, row.id)


async def mark_danger_reported(
    engine: AsyncEngine, keys: RecordKeys, actor: Actor, number: str, version: int, whom: str
) -> Record:
    """Record that a service that can help at once was notified of danger (R11).

    Raises InvalidRequest, EditConflict.
    """
    if not whom.strip():
        raise InvalidRequest("say who was told: the body, and the name of the person on duty")
    async with unit_of_work(engine) as connection:
        row = await get_appeal(connection, number)
        before = await lock_record(connection, keys, actor, row.id, version, {})
        await _add_danger_report(connection, actor, before, number, whom)
        return await store.find(connection, keys, row.id)


async def report_danger_once(
    connection: AsyncConnection, keys: RecordKeys, actor: Actor, row: AppealRow, whom: str
) -> None:
    """Record that a service was notified of danger, if the record is urgent and says of none."""
    before = await store.find(connection, keys, row.id, alone=True)
    if before.version and not before.facts.passed_on:
        await _add_danger_report(connection, actor, before, row.number, whom)


async def _add_danger_report(
    connection: AsyncConnection, actor: Actor, before: Record, number: str, whom: str
) -> None:
    values = {"danger_passed_at": datetime.now(UTC)}
    await add_transition(connection, actor, before, before.stage, whom, values)
    await audit_appeal(connection, actor, AppealAction.DANGER_PASSED_ON, number)


async def _has_read_all(connection: AsyncConnection, actor: Actor, appeal_id: UUID) -> bool:
    """Whether nothing of a locked record is to be read by this actor."""
    return not any(
        [await each.read(connection, appeal_id, actor.name) for each in offers(UnreadBy)]
    )


async def _read_facts(connection: AsyncConnection, before: Record) -> TransitionFacts:
    """The facts of a locked record, with those of rooms above."""
    held = offers(HeldByBody)
    return replace(
        before.facts,
        with_body=any([await each.is_with_body(connection, before.appeal_id) for each in held]),
        to_leave=any([await each.is_waiting(connection, before.appeal_id) for each in held]),
    )


async def _changes_of_move(
    connection: AsyncConnection,
    actor: Actor,
    row: AppealRow,
    before: Record,
    after: AppealState,
) -> dict[str, object]:
    """Other columns that change when an appeal enters a stage."""
    if after is AppealState.REGISTERED and before.kind is not None:
        law = await form_store.read_law(connection)
        registered_on = law.registered_on(row.received_at)
        due = law.answer_due(before.kind, registered_on)
        return {
            "forward_due_on": law.due(DeadlineKind.FORWARD, registered_on).on,
            "registered_on": registered_on,
            "registered_by": actor.name,
            "receipt_code": f"{secrets.randbelow(10_000):04}",
            "due_on": due.on,
            "due_article": due.article,
            "owner": before.owner or actor.name,
        }
    # Its owner is decided: the term to pass it on (APPC, 65(1)) has been met.
    values: dict[str, object] = {"forward_due_on": None}
    if before.stage is AppealState.NO_REQUEST:
        values["disposition"] = None
    if after in (AppealState.CLOSED, AppealState.ANSWERED):
        values |= {"due_on": None, "due_article": None, "notice_due_on": None}
    if before.owner is None and after is not AppealState.JOINED:
        values["owner"] = actor.name
    return values


async def add_transition(
    connection: AsyncConnection,
    actor: Actor,
    before: Record,
    after: AppealState,
    reason: str,
    values: Mapping[str, object],
) -> None:
    """Add a move, or a step within a stage, with its changes. Raises EditConflict."""
    await store.change_row(connection, before, version=before.version + 1, stage=after, **values)
    await transitions_store.add(
        connection, before.appeal_id, actor.who, before.stage, after, reason.strip()
    )


async def lock_record(
    connection: AsyncConnection,
    keys: RecordKeys,
    actor: Actor,
    appeal_id: UUID,
    version: int,
    mine: Content,
) -> Record:
    """Lock a record that is still in the version that was seen. Raises EditConflict."""
    record = await store.find(connection, keys, appeal_id, alone=True)
    if record.version != version:
        form, guards = await form_store.read_form(connection), guards_of(actor)
        raise await store.find_conflict(connection, keys, form, appeal_id, version, mine, guards)
    return record


async def get_appeal(connection: AsyncConnection, number: str) -> AppealRow:
    """The appeal with this number. Raises NotFound."""
    row = await appeals.find(connection, number)
    if row is None:
        raise NotFound("there is no appeal with this number")
    return row


async def require_request(connection: AsyncConnection, appeal_id: UUID) -> None:
    """Refuse personal data of an appeal that is closed as no request. Raises InvalidRequest."""
    if await store.is_without_request(connection, appeal_id):
        raise InvalidRequest(WITHOUT_REQUEST)


async def audit_appeal(
    connection: AsyncConnection,
    actor: Actor,
    action: Action,
    number: str,
    **detail: str | int,
) -> None:
    """Add the audit entry of an action on an appeal, last in its transaction."""
    await audit_action(connection, actor, action, f"appeal:{number}", dict(detail))


def _today() -> date:
    return datetime.now(ZONE).date()
