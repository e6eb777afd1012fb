"""Store of records in PostgreSQL, with optimistic locking by version."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    RowMapping,
    Select,
    Uuid,
    delete,
    false,
    func,
    insert,
    literal,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls import store as appeals
from callcenter.appeals.calls.tables import appeal
from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.record import search_index
from callcenter.appeals.rules.edit_conflict import (
    ContentChange,
    EditConflict,
    FieldChange,
    combine,
    differences,
)
from callcenter.appeals.rules.fields import AccessRule, Content, Form, is_identified
from callcenter.appeals.rules.letters import Letter
from callcenter.appeals.rules.risk import is_said_urgent
from callcenter.appeals.rules.states import (
    ENDED,
    AppealKind,
    AppealState,
    Disposition,
    TransitionFacts,
)
from callcenter.appeals.tables import (
    IS_URGENT,
    record,
    record_change,
    record_identifier,
    record_search,
)
from callcenter.platform.identity.tables import web_user

#: Urgent by its record, or as its caller said by key or in writing; never null (R11).
IS_URGENT_CASE = or_(appeal.c.urgent != literal_column("'{}'"), func.coalesce(IS_URGENT, false()))


@dataclass(frozen=True, slots=True)
class Record:
    """A record of an appeal; version 0 is not saved yet. The content is personal data."""

    appeal_id: UUID
    version: int = 0
    kind: AppealKind | None = None
    stage: AppealState = AppealState.CONTACT
    owner: str | None = None
    disposition: Disposition | None = None
    content: Content = field(default_factory=dict)
    registered_on: date | None = None
    registered_by: str | None = None
    receipt_code: str | None = None
    forward_due_on: date | None = None
    due_on: date | None = None
    due_article: str | None = None
    notice_due_on: date | None = None
    letter_due_on: date | None = None
    extended: bool = False
    danger_passed_at: datetime | None = None
    part_of: UUID | None = None
    joined_to: UUID | None = None
    changed_at: datetime | None = None

    @property
    def urgent(self) -> bool:
        """Whether there is danger, or it needs an operative response otherwise (R11)."""
        return self.kind is AppealKind.DANGER or self._is_said_urgent

    @property
    def _is_said_urgent(self) -> bool:
        """Whether a consultant marked it as urgent, beside its kind."""
        return is_said_urgent(self.content)

    @property
    def facts(self) -> TransitionFacts:
        """The facts that moves between stages depend on."""
        return TransitionFacts(
            kind=self.kind,
            identified=is_identified(self.content),
            described=bool(self.content.get("content")),
            helped=bool(self.content.get("help")),
            decided=bool(self.content.get("decision") and self.content.get("decision_reason")),
            registered=self.registered_on is not None,
            passed_on=not self.urgent or self.danger_passed_at is not None,
            awaits=self.letter_due_on is not None,
            explained=not self._is_said_urgent or bool(self.content.get("danger_reason")),
        )


async def find(
    connection: AsyncConnection, keys: RecordKeys, appeal_id: UUID, *, alone: bool = False
) -> Record:
    """The record of an appeal, of version 0 when none is saved. Raises DecryptionFailed.

    `alone` locks it: nobody else changes it or its letters until this transaction ends. The appeal
    is locked before, which is there without a record too: so one order holds for whoever locks
    both.
    """
    query = select(record).where(record.c.appeal_id == appeal_id)
    if alone:
        await appeals.lock_appeal(connection, appeal_id)
        query = query.with_for_update(key_share=True)
    row = (await connection.execute(query)).mappings().one_or_none()
    return Record(appeal_id) if row is None else _record(keys, row)


async def is_without_request(connection: AsyncConnection, appeal_id: UUID) -> bool:
    """Whether an appeal is closed as no request; it stays so until this transaction ends."""
    query = select(record.c.stage).where(record.c.appeal_id == appeal_id)
    stage = await connection.execute(query.with_for_update(key_share=True))
    return stage.scalar_one_or_none() == AppealState.NO_REQUEST.value


@dataclass(frozen=True, slots=True)
class Exported:
    """An appeal with its record, as it goes into a file."""

    number: str
    received_at: datetime
    channel: str
    language: str | None
    caller_number: str | None
    record: Record
    letters: Sequence[Letter] = ()  #: by the days on them


async def list_exported(
    connection: AsyncConnection, keys: RecordKeys, appeal_ids: Sequence[UUID]
) -> list[Exported]:
    """These appeals with their records, in this order. Raises DecryptionFailed."""
    names = ("number", "received_at", "channel", "language", "caller_number")
    query = (
        select(*(appeal.c[name] for name in names), appeal.c.id, record)
        .select_from(appeal.outerjoin(record, record.c.appeal_id == appeal.c.id))
        .where(appeal.c.id.in_(appeal_ids))
    )
    found = {}
    for row in (await connection.execute(query)).mappings():
        stored = Record(row["id"]) if row["appeal_id"] is None else _record(keys, row)
        values = {name: row[name] for name in names}
        found[row["id"]] = Exported(**values, record=stored)
    return [found[each] for each in appeal_ids if each in found]


def _record(keys: RecordKeys, row: RowMapping) -> Record:
    values: dict[str, Any] = {each: row[each] for each in Record.__slots__}
    values["kind"] = None if row["kind"] is None else AppealKind(row["kind"])
    values["stage"] = AppealState(row["stage"])
    values["disposition"] = row["disposition"] and Disposition(row["disposition"])
    values["content"] = row["content"] | keys.open(row["appeal_id"], row["sealed"])
    return Record(**values)


@dataclass(frozen=True, slots=True)
class RecordUpdate:
    """Content that an author enters on top of the version of a record that they saw."""

    before: Record
    kind: AppealKind | None
    content: Content
    author: str
    guards: Collection[AccessRule]  #: of the author; content beyond them stays as it is
    previous: Content | None = None  #: stored before in another record, see `Form.normalize`


async def save(
    connection: AsyncConnection, keys: RecordKeys, form: Form, update: RecordUpdate
) -> Record:
    """Store an update as the next version of its record and index it; returns the record.

    An update that changes nothing makes no version. Raises WrongContent, and EditConflict when
    there is a newer version: then nothing is stored.
    """
    before = update.before
    content = _merged_content(form, update)
    made = _field_changes(update, content)
    if not made:
        return before
    change = ContentChange(before.version + 1, datetime.now(UTC), update.author, made)
    if not await _put(connection, before, _columns(keys, form, update, content, change)):
        raise await find_conflict(
            connection,
            keys,
            form,
            before.appeal_id,
            before.version,
            update.content,
            update.guards,
        )
    await _add_change(connection, keys, form, before, content, change)
    await _replace_identifiers(connection, keys, before.appeal_id, content)
    await search_index.index(connection, keys, form, before.appeal_id, content)
    return await find(connection, keys, before.appeal_id)


def _merged_content(form: Form, update: RecordUpdate) -> Content:
    """The content after an update, with what its author may not see. Raises WrongContent."""
    before = update.before.content
    unseen = {
        key: value for key, value in before.items() if form.guard(key, before) not in update.guards
    }
    return form.normalize(update.content, update.previous or before) | unseen


def _field_changes(update: RecordUpdate, content: Content) -> dict[str, FieldChange]:
    """The differences that an update makes, of its kind too."""
    before, kind = update.before, update.kind
    made = differences(before.content, content)
    if kind is not before.kind:
        made["kind"] = FieldChange(
            before.kind and before.kind.value, None if kind is None else kind.value
        )
    return made


def _columns(
    keys: RecordKeys, form: Form, update: RecordUpdate, content: Content, change: ContentChange
) -> dict[str, Any]:
    """The row of a record with this content; sensitive fields are encrypted."""
    secret = {key for key in content if form.guard(key, content) is AccessRule.SENSITIVE}
    return {
        "version": change.version,
        "kind": None if update.kind is None else update.kind.value,
        "content": {key: value for key, value in content.items() if key not in secret},
        "sealed": keys.seal(update.before.appeal_id, {key: content[key] for key in secret}),
        "changed_at": change.at,
    }


async def _put(connection: AsyncConnection, before: Record, values: dict[str, Any]) -> bool:
    """Insert or update a row; False when its version is not `before.version` any more."""
    if before.version == 0:
        made = await connection.execute(
            upsert(record)
            .values({"appeal_id": before.appeal_id, "stage": before.stage.value} | values)
            .on_conflict_do_nothing()
            .returning(record.c.version)
        )
    else:
        made = await connection.execute(
            update(record)
            .where(record.c.appeal_id == before.appeal_id, record.c.version == before.version)
            .values(values)
            .returning(record.c.version)
        )
    return made.scalar_one_or_none() is not None


async def list_changes(
    connection: AsyncConnection, keys: RecordKeys, appeal_id: UUID, *, since: int = 0
) -> list[ContentChange]:
    """The changes of a record after this version, in their order. Raises DecryptionFailed."""
    query = (
        select(record_change)
        .where(record_change.c.appeal_id == appeal_id, record_change.c.version > since)
        .order_by(record_change.c.version)
    )
    found = []
    for row in await connection.execute(query):
        sealed = keys.open(appeal_id, row.sealed)
        both = row.differences | sealed
        made = {key: FieldChange(*pair) for key, pair in both.items()}
        found.append(ContentChange(row.version, row.at, row.author, made))
    return found


async def find_conflict(
    connection: AsyncConnection,
    keys: RecordKeys,
    form: Form,
    appeal_id: UUID,
    version: int,
    mine: Content,
    guards: Collection[AccessRule],
) -> EditConflict:
    """The error for a change that was made from an older version: what others changed since."""
    newest = await find(connection, keys, appeal_id)
    since = combine(await list_changes(connection, keys, appeal_id, since=version))
    return EditConflict(newest.version, form.visible_changes(since, newest.content, guards), mine)


async def _add_change(
    connection: AsyncConnection,
    keys: RecordKeys,
    form: Form,
    before: Record,
    after: Content,
    change: ContentChange,
) -> None:
    pairs = {key: [each.before, each.after] for key, each in change.differences.items()}
    secret = {
        key
        for key in pairs
        if key != "kind"
        and AccessRule.SENSITIVE in (form.guard(key, before.content), form.guard(key, after))
    }
    await connection.execute(
        insert(record_change).values(
            appeal_id=before.appeal_id,
            version=change.version,
            at=change.at,
            author=change.author,
            differences={key: pair for key, pair in pairs.items() if key not in secret},
            sealed=keys.seal(before.appeal_id, {key: pairs[key] for key in secret}),
        )
    )


async def _replace_identifiers(
    connection: AsyncConnection, keys: RecordKeys, appeal_id: UUID, content: Content
) -> None:
    await connection.execute(
        delete(record_identifier).where(record_identifier.c.appeal_id == appeal_id)
    )
    rows = [
        {
            "appeal_id": appeal_id,
            "person": key.removesuffix(".identifier"),
            "hash": keys.hash("identifier", str(value)),
        }
        for key, value in content.items()
        if key.endswith(".identifier")
    ]
    if rows:
        await connection.execute(insert(record_identifier), rows)


async def change_row(connection: AsyncConnection, before: Record, **values: Any) -> None:
    """Update columns of a record beside its content, by version. Raises EditConflict.

    One that is not saved yet begins with them, and can be found by its filters from then on.
    """
    plain = {key: getattr(value, "value", value) for key, value in values.items()}
    started = {"content": {}, "version": 1} if before.version == 0 else {}
    if not await _put(connection, before, started | plain | {"changed_at": datetime.now(UTC)}):
        raise EditConflict(before.version + 1, {}, {})
    if before.version == 0:
        await search_index.index_empty(connection, before.appeal_id)


@dataclass(frozen=True, slots=True)
class OwnerCount:
    """A user who answers for open appeals, and how many; one who left does not work here now."""

    name: str
    count: int
    has_left: bool


async def count_open_by_owner(connection: AsyncConnection) -> list[OwnerCount]:
    """Count the open appeals of each owner, those who left first."""
    # Of a name that no user has there is nobody at work either.
    has_left = ~func.coalesce(web_user.c.active, false())
    query = (
        select(record.c.owner, func.count(), has_left)
        .select_from(record.outerjoin(web_user, web_user.c.name == record.c.owner))
        .where(is_open(), record.c.owner.is_not(None))
        .group_by(record.c.owner, has_left)
        .order_by(has_left.desc(), record.c.owner)
    )
    return [OwnerCount(*row) for row in await connection.execute(query)]


async def list_open_of_owner(connection: AsyncConnection, owner: str, limit: int) -> list[UUID]:
    """The ids of open appeals of an owner, in an order in which all lock them."""
    query = (
        select(record.c.appeal_id)
        .where(is_open(), record.c.owner == owner)
        .order_by(record.c.appeal_id)
        .limit(limit)
    )
    return list((await connection.execute(query)).scalars())


def is_open() -> ColumnElement[bool]:
    """Whether something is to be done about a record."""
    # The open stages by name, so that the index by owner and stage can serve it.
    return record.c.stage.in_([stage.value for stage in AppealState if stage not in ENDED])


@dataclass(frozen=True, slots=True)
class Related:
    """Numbers of the appeals that a record was split off from, joined to, or has as parts."""

    part_of: str | None
    joined_to: str | None
    parts: Sequence[str]
    joined: Sequence[str]


async def find_related(connection: AsyncConnection, before: Record) -> Related:
    """Appeals that a record was split off from, was joined to, or has as parts."""

    here = or_(record.c.part_of == before.appeal_id, record.c.joined_to == before.appeal_id)
    query = (
        select(appeal.c.number, record.c.part_of, record.c.joined_to)
        .join(record, record.c.appeal_id == appeal.c.id)
        .where(here)
        .order_by(appeal.c.number)
    )
    others = (await connection.execute(query)).all()

    async def number(appeal_id: UUID | None) -> str | None:
        row = None if appeal_id is None else await appeals.find_by_id(connection, appeal_id)
        return None if row is None else row.number

    return Related(
        await number(before.part_of),
        await number(before.joined_to),
        [each.number for each in others if each.part_of == before.appeal_id],
        [each.number for each in others if each.joined_to == before.appeal_id],
    )


def select_continued(appeal_id: UUID) -> Select[tuple[UUID]]:
    """Select an appeal, what it is a part of, and the appeals in which these go on.

    What is noted on them is noted on it too.
    """
    found = select(literal(appeal_id, Uuid).label("id")).cte(recursive=True)
    further = (
        select(appeal.c.id)
        .join(record, appeal.c.id.in_([record.c.part_of, record.c.joined_to]))
        .join(found, found.c.id == record.c.appeal_id)
    )
    return select(found.union(further).c.id)


def select_joined(appeal_id: UUID) -> Select[tuple[UUID]]:
    """Select an appeal, and those that go on in it."""
    found = select(literal(appeal_id, Uuid).label("id")).cte(recursive=True)
    further = select(record.c.appeal_id).join(found, found.c.id == record.c.joined_to)
    return select(found.union(further).c.id)


def select_related(appeal_id: UUID) -> Select[tuple[UUID]]:
    """Select an appeal, and all that were split off or joined, from or to one of them."""
    found = select(literal(appeal_id, Uuid).label("id")).cte(recursive=True)
    links = (record.c.appeal_id, record.c.part_of, record.c.joined_to)
    further = (
        select(appeal.c.id)
        .join(record, appeal.c.id.in_(links))
        .join(found, or_(*(each == found.c.id for each in links)))
    )
    return select(found.union(further).c.id)


async def list_connected(
    connection: AsyncConnection, keys: RecordKeys, appeal_id: UUID
) -> list[Exported]:
    """Appeals of which this is a part or in which it goes on, and those joined to them.

    By number. Raises DecryptionFailed.
    """
    found = select_continued(appeal_id).cte(recursive=True)
    joined = select(record.c.appeal_id).join(found, found.c.id == record.c.joined_to)
    all_ids = found.union(joined)
    others = select(all_ids.c.id).where(all_ids.c.id != appeal_id)
    ids = (await connection.execute(others)).scalars().all()
    if not ids:
        return []
    return sorted(await list_exported(connection, keys, ids), key=lambda each: each.number)


async def find_vocabulary(
    connection: AsyncConnection, keys: RecordKeys, form: Form, found: Record
) -> set[str]:
    """Words of the search vocabulary that come from this record, now or in earlier versions."""
    vocabulary = search_index.build_terms(keys, form, found.content, None)[1]
    for change in await list_changes(connection, keys, found.appeal_id):
        for side in ("before", "after"):
            values = {key: getattr(pair, side) for key, pair in change.differences.items()}
            content = {key: each for key, each in values.items() if each and key != "kind"}
            vocabulary |= search_index.build_terms(keys, form, content, None)[1]
    return vocabulary


async def erase_content(
    connection: AsyncConnection, keys: RecordKeys, form: Form, found: Record
) -> None:
    """Erase the content of a record, its changes and its search terms: there was no request."""
    appeal_id = found.appeal_id
    vocabulary = await find_vocabulary(connection, keys, form, found)
    await connection.execute(
        update(record).where(record.c.appeal_id == appeal_id).values(content={}, sealed=None)
    )
    await connection.execute(
        update(record_change)
        .where(record_change.c.appeal_id == appeal_id)
        .values(differences={}, sealed=None)
    )
    await connection.execute(
        update(record_search).where(record_search.c.appeal_id == appeal_id).values(terms=[])
    )
    await search_index.delete_words(connection, vocabulary)
