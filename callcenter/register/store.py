"""Records in PostgreSQL: read whole, and saved from the version that was seen."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, RowMapping, delete, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals import store as appeals
from callcenter.appeals.tables import appeal
from callcenter.register import indexing
from callcenter.register.fields import Content, Form, Guard, is_identified
from callcenter.register.letters import Letter
from callcenter.register.merging import Change, Changed, Difference, differences, together
from callcenter.register.private import Keys
from callcenter.register.stages import Kind, Stage, Standing
from callcenter.register.tables import (
    record,
    record_change,
    record_identifier,
    record_search,
)


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it stands. `version` 0: nobody has saved it yet. Content is personal data."""

    appeal_id: UUID
    version: int = 0
    kind: Kind | None = None
    stage: Stage = Stage.CONTACT
    owner: str | None = None
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
        """There is danger, or it needs an operative response otherwise (R11)."""
        return self.kind is Kind.DANGER or self._is_said_urgent

    @property
    def _is_said_urgent(self) -> bool:
        """Somebody chose so, besides the kind."""
        return self.content.get("danger") == "yes" or self.content.get("urgency") == "urgent"

    @property
    def standing(self) -> Standing:
        """What moves ask of it."""
        return Standing(
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
    connection: AsyncConnection, keys: Keys, appeal_id: UUID, *, alone: bool = False
) -> Record:
    """The record of an appeal; one of version 0 when nobody has saved any. Raises Unreadable.

    `alone`: nobody else changes it, or the letters of the appeal, until this transaction ends.
    """
    query = select(record).where(record.c.appeal_id == appeal_id)
    if alone:
        query = query.with_for_update(key_share=True)
    row = (await connection.execute(query)).mappings().one_or_none()
    return Record(appeal_id) if row is None else _record(keys, row)


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


async def exported(
    connection: AsyncConnection, keys: Keys, appeal_ids: Sequence[UUID]
) -> list[Exported]:
    """These appeals, in this order. Raises Unreadable."""
    names = ("number", "received_at", "channel", "language", "caller_number")
    query = (
        select(*(appeal.c[name] for name in names), appeal.c.id, record)
        .select_from(appeal.outerjoin(record, record.c.appeal_id == appeal.c.id))
        .where(appeal.c.id.in_(appeal_ids))
    )
    known = {}
    for row in (await connection.execute(query)).mappings():
        kept = Record(row["id"]) if row["appeal_id"] is None else _record(keys, row)
        values = {name: row[name] for name in names}
        known[row["id"]] = Exported(**values, record=kept)
    return [known[each] for each in appeal_ids if each in known]


def _record(keys: Keys, row: RowMapping) -> Record:
    values: dict[str, Any] = {each: row[each] for each in Record.__slots__}
    values["kind"] = None if row["kind"] is None else Kind(row["kind"])
    values["stage"] = Stage(row["stage"])
    values["content"] = row["content"] | keys.open(row["appeal_id"], row["sealed"])
    return Record(**values)


async def save(
    connection: AsyncConnection,
    keys: Keys,
    form: Form,
    before: Record,
    *,
    kind: Kind | None,
    content: Content,
    guards: Collection[Guard],
    author: str,
    known: Content | None = None,
) -> Record:
    """Keep this content on top of the version that was seen; what the author may not see stays.

    `known` is what was kept before (see `Form.checked`), if it was in another record. Raises
    WrongContent; and Changed, when there is a newer version: then nothing is kept.
    """
    after = _after(form, before, content, guards, known)
    made = _made(before, kind, after)
    if not made:
        return before
    change = Change(before.version + 1, datetime.now(UTC), author, made)
    if not await _put(connection, before, _columns(keys, form, before, kind, after, change)):
        raise await changed(
            connection, keys, form, before.appeal_id, before.version, content, guards
        )
    await _note(connection, keys, form, before, after, change)
    await _note_identifiers(connection, keys, before.appeal_id, after)
    await indexing.index(connection, keys, form, before.appeal_id, after)
    return await find(connection, keys, before.appeal_id)


def _after(
    form: Form,
    before: Record,
    content: Content,
    guards: Collection[Guard],
    known: Content | None,
) -> Content:
    """What is kept when this is entered: what the author may not see stays. Raises WrongContent."""
    unseen = {
        key: value
        for key, value in before.content.items()
        if form.guard(key, before.content) not in guards
    }
    return form.checked(content, known or before.content) | unseen


def _made(before: Record, kind: Kind | None, after: Content) -> dict[str, Difference]:
    """What is changed by saving this."""
    made = differences(before.content, after)
    if kind is not before.kind:
        made["kind"] = Difference(
            before.kind and before.kind.value, None if kind is None else kind.value
        )
    return made


def _columns(
    keys: Keys, form: Form, before: Record, kind: Kind | None, after: Content, change: Change
) -> dict[str, Any]:
    """The row of a record with this content; what is sensitive is encrypted."""
    secret = {key for key in after if form.guard(key, after) is Guard.SENSITIVE}
    return {
        "version": change.version,
        "kind": None if kind is None else kind.value,
        "content": {key: value for key, value in after.items() if key not in secret},
        "sealed": keys.seal(before.appeal_id, {key: after[key] for key in secret}),
        "changed_at": change.at,
    }


async def _put(connection: AsyncConnection, before: Record, values: dict[str, Any]) -> bool:
    """Whether the version was still the one that was seen."""
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


async def changes(
    connection: AsyncConnection, keys: Keys, appeal_id: UUID, *, since: int = 0
) -> list[Change]:
    """What was changed after this version, in its order."""
    query = (
        select(record_change)
        .where(record_change.c.appeal_id == appeal_id, record_change.c.version > since)
        .order_by(record_change.c.version)
    )
    found = []
    for row in await connection.execute(query):
        sealed = keys.open(appeal_id, row.sealed)
        both = row.differences | sealed
        made = {key: Difference(*pair) for key, pair in both.items()}
        found.append(Change(row.version, row.at, row.author, made))
    return found


async def changed(
    connection: AsyncConnection,
    keys: Keys,
    form: Form,
    appeal_id: UUID,
    version: int,
    mine: Content,
    guards: Collection[Guard],
) -> Changed:
    """What to raise when somebody saw this version of a record and there is a newer one."""
    newest = await find(connection, keys, appeal_id)
    since = together(await changes(connection, keys, appeal_id, since=version))
    return Changed(newest.version, form.shown(since, newest.content, guards), mine)


async def _note(
    connection: AsyncConnection,
    keys: Keys,
    form: Form,
    before: Record,
    after: Content,
    change: Change,
) -> None:
    pairs = {key: [each.before, each.after] for key, each in change.differences.items()}
    secret = {
        key
        for key in pairs
        if key != "kind"
        and Guard.SENSITIVE in (form.guard(key, before.content), form.guard(key, after))
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


async def _note_identifiers(
    connection: AsyncConnection, keys: Keys, appeal_id: UUID, content: Content
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
    """Change other columns of a record, on top of the version that was seen. Raises Changed.

    One that was not there begins with them, and can be found by its filters from then on.
    """
    plain = {key: getattr(value, "value", value) for key, value in values.items()}
    started = {"content": {}, "version": 1} if before.version == 0 else {}
    if not await _put(connection, before, started | plain | {"changed_at": datetime.now(UTC)}):
        raise Changed(before.version + 1, {}, {})
    if before.version == 0:
        await indexing.begin(connection, before.appeal_id)


@dataclass(frozen=True, slots=True)
class Related:
    """Appeals that this one was split off from, goes on in, or has as its parts: by number."""

    part_of: str | None
    joined_to: str | None
    parts: Sequence[str]
    joined: Sequence[str]


async def related(connection: AsyncConnection, before: Record) -> Related:
    """What else belongs to this record."""

    async def numbers(condition: ColumnElement[bool]) -> list[str]:
        query = select(appeal.c.number).join(record, record.c.appeal_id == appeal.c.id)
        found = await connection.execute(query.where(condition).order_by(appeal.c.number))
        return list(found.scalars())

    async def number(appeal_id: UUID | None) -> str | None:
        row = None if appeal_id is None else await appeals.by_id(connection, appeal_id)
        return None if row is None else row.number

    return Related(
        await number(before.part_of),
        await number(before.joined_to),
        await numbers(record.c.part_of == before.appeal_id),
        await numbers(record.c.joined_to == before.appeal_id),
    )


async def words_ever(
    connection: AsyncConnection, keys: Keys, form: Form, known: Record
) -> set[str]:
    """Words of the vocabulary that are there by what this record holds, or held before."""
    said = indexing.document(keys, form, known.content, None)[1]
    for change in await changes(connection, keys, known.appeal_id):
        for side in ("before", "after"):
            values = {key: getattr(pair, side) for key, pair in change.differences.items()}
            content = {key: each for key, each in values.items() if each and key != "kind"}
            said |= indexing.document(keys, form, content, None)[1]
    return said


async def forget_entered(
    connection: AsyncConnection, keys: Keys, form: Form, known: Record
) -> None:
    """Nothing that was entered stays: there was no request."""
    appeal_id, said = known.appeal_id, await words_ever(connection, keys, form, known)
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
    await indexing.forget_words(connection, said)
