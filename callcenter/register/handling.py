"""What somebody does to the record of an appeal: each deed is checked, kept and audited."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from types import EllipsisType
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals import store as appeals
from callcenter.appeals.store import AppealRow
from callcenter.audit.actions import Action
from callcenter.audit.store import record as audit
from callcenter.errors import AskedWrongly
from callcenter.register import definitions, drafts, masking_parts, steps_store, store
from callcenter.register.fields import Content, Form, Guard, Value
from callcenter.register.private import Keys
from callcenter.register.stages import FORMAL, Kind, Stage, check_move
from callcenter.register.store import Record
from callcenter.register.terms import Clock
from callcenter.storage.engine import as_a_whole, unit_of_work
from callcenter.web.errors import NotFound
from callcenter.web.permissions import Permission
from callcenter.web.site import Site, Visit
from callcenter.web.words import ZONE


@dataclass(frozen=True, slots=True)
class Opened:
    """An appeal, its record as this person sees it, and the form that it is edited by."""

    row: AppealRow
    record: Record
    form: Form
    draft: drafts.Draft | None
    guards: frozenset[Guard]

    @property
    def visible(self) -> Content:
        """What of the record this person sees."""
        return self.form.visible(self.record.content, self.guards)


def guards_of(visit: Visit) -> frozenset[Guard]:
    """Which fields somebody sees."""
    seen = {Guard.OPEN}
    if visit.may(Permission.SEE_PERSONAL):
        seen.add(Guard.PERSONAL)
    if visit.may(Permission.SEE_SENSITIVE):
        seen.add(Guard.SENSITIVE)
    return frozenset(seen)


async def open_record(site: Site, visit: Visit, number: str) -> Opened:
    """The record as it stands. Raises NotFound, and Unreadable without the key."""
    keys = Keys.read(site.settings)
    async with unit_of_work(site.engine) as connection:
        row = await found(connection, number)
        return Opened(
            row,
            await store.find(connection, keys, row.id),
            await definitions.form(connection),
            await drafts.find(connection, keys, row.id, visit.who),
            guards_of(visit),
        )


async def keep_draft(
    site: Site, visit: Visit, number: str, version: int, content: Content
) -> datetime:
    """Keep what is being typed; when it was kept. It is no change of the record."""
    async with unit_of_work(site.engine) as connection:
        row = await found(connection, number)
        return await drafts.keep(
            connection,
            Keys.read(site.settings),
            row.id,
            author=visit.who,
            version=version,
            content=content,
        )


async def discard_draft(site: Site, visit: Visit, number: str) -> None:
    """Let go what this person typed and did not save; there may be nothing."""
    async with unit_of_work(site.engine) as connection:
        await drafts.drop(connection, (await found(connection, number)).id, visit.who)


async def save(
    site: Site, visit: Visit, number: str, version: int, kind: Kind | None, content: Content
) -> Record:
    """Keep this content of the record that was seen in this version; the draft is done with.

    Raises WrongContent, Changed; AskedWrongly for what is to keep nothing.
    """
    if kind is Kind.NO_REQUEST:
        raise AskedWrongly("where there was no request nothing is entered: close it as such")
    keys = Keys.read(site.settings)
    async with unit_of_work(site.engine) as connection:
        row = await found(connection, number)
        form = await definitions.form(connection)
        before = await seen(connection, keys, visit, row.id, version, content)
        after = await store.save(
            connection,
            keys,
            form,
            before,
            kind=kind,
            content=content,
            guards=guards_of(visit),
            author=visit.who,
        )
        await drafts.drop(connection, row.id, visit.who)
        await note(connection, visit, Action.RECORD_SAVED, number, version=after.version)
        return after


async def change(
    site: Site,
    visit: Visit,
    number: str,
    version: int,
    changes: Mapping[str, Value | None],
    kind: Kind | EllipsisType | None = ...,
) -> Record:
    """Save with these values of some fields, None: nothing; all others, and `...`, stay.

    Raises as `save` does.
    """
    keys = Keys.read(site.settings)
    typed = {key: value for key, value in changes.items() if value is not None}
    async with as_a_whole(site.engine) as connection:
        row = await found(connection, number)
        before = await seen(connection, keys, visit, row.id, version, typed)
        form = await definitions.form(connection)
        visible = form.visible(before.content, guards_of(visit))
        content = {key: each for key, each in visible.items() if key not in changes} | typed
        after = before.kind if isinstance(kind, EllipsisType) else kind
        return await save(site, visit, number, version, after, content)


async def move(
    site: Site, visit: Visit, number: str, version: int, after: Stage, reason: str = ""
) -> Record:
    """Take an appeal to another stage. Raises IllegalMove, Missing, Changed.

    To `registered` it gets its legal date, term and code; `no_request` keeps nothing personal.
    """
    keys = Keys.read(site.settings)
    async with unit_of_work(site.engine) as connection:
        row = await found(connection, number)
        before = await seen(connection, keys, visit, row.id, version, {})
        check_move(before.stage, after, before.standing, reason)
        values = await _consequences(connection, visit, row, before, after)
        if after is Stage.NO_REQUEST:
            form = await definitions.form(connection)
            await store.forget_entered(connection, keys, form, before)
            await masking_parts.erase(connection, row.id)
        await step(connection, visit, before, after, reason, values)
        steps = {"before": before.stage.value, "after": after.value}
        await note(connection, visit, Action.RECORD_MOVED, number, **steps)
        return await store.find(connection, keys, row.id)


async def close_without_request(site: Site, visit: Visit, number: str) -> Record:
    """There was no request: closed in one step, and nothing personal of it is kept.

    Raises IllegalMove when it has gone further than a contact.
    """
    async with as_a_whole(site.engine) as connection:
        row = await found(connection, number)
        before = await store.find(connection, Keys.read(site.settings), row.id)
        standing = replace(before.standing, kind=Kind.NO_REQUEST)
        check_move(before.stage, Stage.NO_REQUEST, standing, "")
        version = before.version + 1
        await store.change_row(connection, before, version=version, kind=Kind.NO_REQUEST)
        return await move(site, visit, number, version, Stage.NO_REQUEST)


async def extend(
    site: Site, visit: Visit, number: str, version: int, until: date, reason: str
) -> Record:
    """Put the answer's term off (APPC, 76(3)). Raises NotExtended, AskedWrongly, Changed."""
    keys = Keys.read(site.settings)
    async with unit_of_work(site.engine) as connection:
        row = await found(connection, number)
        before = await seen(connection, keys, visit, row.id, version, {})
        if before.kind not in FORMAL or before.due_on is None or before.extended:
            raise AskedWrongly("only the term of a registered appeal is extended, and only once")
        if not reason.strip():
            raise AskedWrongly("say which facts must be established: the term is extended for them")
        law = await definitions.law(connection)
        due, notice = law.extended(before.kind, _today(), until)
        values = {
            "due_on": due.on,
            "due_article": due.article,
            "notice_due_on": notice.on,
            "extended": True,
        }
        await step(connection, visit, before, before.stage, reason, values)
        await note(connection, visit, Action.RECORD_EXTENDED, number, until=due.on.isoformat())
        return await store.find(connection, keys, row.id)


async def tell_of_extension(
    site: Site, visit: Visit, number: str, version: int, how: str
) -> Record:
    """Note that the applicant knows of the new term (APPC, 76(3)). Raises AskedWrongly, Changed."""
    keys = Keys.read(site.settings)
    if not how.strip():
        raise AskedWrongly("say how the applicant was told")
    async with unit_of_work(site.engine) as connection:
        row = await found(connection, number)
        before = await seen(connection, keys, visit, row.id, version, {})
        if before.notice_due_on is None:
            raise AskedWrongly("the applicant is to be told of no extension")
        await step(connection, visit, before, before.stage, how, {"notice_due_on": None})
        await note(connection, visit, Action.EXTENSION_TOLD, number)
        return await store.find(connection, keys, row.id)


async def pass_danger_on(site: Site, visit: Visit, number: str, version: int, whom: str) -> Record:
    """Note that somebody who can help at once has been told (R11). Raises AskedWrongly, Changed."""
    keys = Keys.read(site.settings)
    if not whom.strip():
        raise AskedWrongly("say who was told: the body, and the name of the person on duty")
    async with unit_of_work(site.engine) as connection:
        row = await found(connection, number)
        before = await seen(connection, keys, visit, row.id, version, {})
        values = {"danger_passed_at": datetime.now(UTC)}
        await step(connection, visit, before, before.stage, whom, values)
        await note(connection, visit, Action.DANGER_PASSED_ON, number)
        return await store.find(connection, keys, row.id)


async def _consequences(
    connection: AsyncConnection, visit: Visit, row: AppealRow, before: Record, after: Stage
) -> dict[str, object]:
    """What else changes when an appeal comes to a stage."""
    if after is Stage.REGISTERED and before.kind is not None:
        law = await definitions.law(connection)
        registered_on = law.registered_on(row.received_at)
        due = law.answer_due(before.kind, registered_on)
        return {
            "forward_due_on": law.due(Clock.FORWARD, registered_on).on,
            "registered_on": registered_on,
            "registered_by": visit.who.removeprefix("user:"),
            "receipt_code": f"{secrets.randbelow(10_000):04}",
            "due_on": due.on,
            "due_article": due.article,
            "owner": before.owner or visit.who.removeprefix("user:"),
        }
    # Somebody has decided whose it is: the term to pass it on (APPC, 65(1)) is kept.
    values: dict[str, object] = {"forward_due_on": None}
    if after in (Stage.CLOSED, Stage.ANSWERED):
        values |= {"due_on": None, "due_article": None, "notice_due_on": None}
    if before.owner is None and after is not Stage.JOINED:
        values["owner"] = visit.who.removeprefix("user:")
    return values


async def step(
    connection: AsyncConnection,
    visit: Visit,
    before: Record,
    after: Stage,
    reason: str,
    values: Mapping[str, object],
) -> None:
    """A move, or a step within a stage, and what changes with it. Raises Changed."""
    await store.change_row(connection, before, version=before.version + 1, stage=after, **values)
    await steps_store.add_move(
        connection, before.appeal_id, visit.who, before.stage, after, reason.strip()
    )


async def seen(
    connection: AsyncConnection,
    keys: Keys,
    visit: Visit,
    appeal_id: UUID,
    version: int,
    mine: Content,
) -> Record:
    """The record, if it is still in the version that was seen; else raises Changed."""
    record = await store.find(connection, keys, appeal_id, alone=True)
    if record.version != version:
        form, guards = await definitions.form(connection), guards_of(visit)
        raise await store.changed(connection, keys, form, appeal_id, version, mine, guards)
    return record


async def found(connection: AsyncConnection, number: str) -> AppealRow:
    """The appeal of this number. Raises NotFound."""
    row = await appeals.find(connection, number)
    if row is None:
        raise NotFound("there is no appeal with this number")
    return row


async def note(
    connection: AsyncConnection, visit: Visit, action: Action, number: str, **detail: str | int
) -> None:
    """One entry in the audit log about an appeal: the last thing of a transaction."""
    await audit(
        connection,
        who=visit.who,
        action=action,
        subject=f"appeal:{number}",
        detail=dict(detail),
        from_address=visit.address,
    )


def _today() -> date:
    return datetime.now(ZONE).date()
