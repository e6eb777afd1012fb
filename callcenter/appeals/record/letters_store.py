"""Store of letters of appeals, with the history of their changes."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, exists, func, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.rules.edit_conflict import ContentChange, FieldChange
from callcenter.appeals.rules.letters import SEALED, Direction, Letter, LetterKind, LetterParty
from callcenter.appeals.tables import record, record_letter, record_letter_change
from callcenter.platform.core.pagination import Place

_answer = record_letter.alias("answer")  # a letter that answers another one


@dataclass(frozen=True, slots=True)
class StoredLetter:
    """A letter of an appeal; versions count from 1, `answered_by` is its first answer."""

    id: UUID
    version: int
    at: datetime
    letter: Letter
    answered_by: UUID | None

    @property
    def waits_until(self) -> date | None:
        """The day until which an answer is still awaited."""
        return self.letter.answer_due_on if self.answered_by is None else None


async def list_of_appeal(
    connection: AsyncConnection,
    keys: RecordKeys,
    appeal_id: UUID,
    *,
    after: Place | None = None,
    limit: int | None = None,
) -> list[StoredLetter]:
    """Letters of an appeal, the latest first, from `after` on. Raises DecryptionFailed."""
    order = (record_letter.c.at, record_letter.c.id)
    query = _letters().where(record_letter.c.appeal_id == appeal_id).limit(limit)
    if after is not None:
        query = query.where(tuple_(*order) < after)
    rows = await connection.execute(query.order_by(*(each.desc() for each in order)))
    return [_stored(keys, row) for row in rows]


async def find(connection: AsyncConnection, keys: RecordKeys, identity: UUID) -> StoredLetter:
    """The letter with this id, which exists."""
    [row] = await connection.execute(_letters().where(record_letter.c.id == identity))
    return _stored(keys, row)


async def list_of_appeals(
    connection: AsyncConnection, keys: RecordKeys, appeal_ids: Collection[UUID]
) -> Mapping[UUID, Sequence[Letter]]:
    """Letters of several appeals, by the dates on them. Raises DecryptionFailed."""
    query = _letters().where(record_letter.c.appeal_id.in_(appeal_ids))
    found: dict[UUID, list[Letter]] = {}
    for row in await connection.execute(query.order_by(record_letter.c.dated, record_letter.c.at)):
        found.setdefault(row.appeal_id, []).append(_stored(keys, row).letter)
    return found


async def list_changes(
    connection: AsyncConnection, keys: RecordKeys, appeal_id: UUID
) -> list[tuple[UUID, ContentChange]]:
    """Changes of the letters of an appeal, each with the id of its letter, in order."""
    query = (
        select(record_letter_change)
        .join(record_letter, record_letter.c.id == record_letter_change.c.letter_id)
        .where(record_letter.c.appeal_id == appeal_id)
        .order_by(record_letter_change.c.at, record_letter_change.c.version)
    )
    return [
        (row.letter_id, ContentChange(row.version, row.at, row.author, _field_changes(keys, row)))
        for row in await connection.execute(query)
    ]


async def add(
    connection: AsyncConnection,
    keys: RecordKeys,
    appeal_id: UUID,
    identity: UUID,
    letter: Letter,
    change: ContentChange,
) -> None:
    """Insert a letter, with the change that made it."""
    values = _columns(keys, identity, letter) | {"version": change.version, "at": change.at}
    await connection.execute(
        insert(record_letter).values(id=identity, appeal_id=appeal_id, **values)
    )
    await _add_change(connection, keys, identity, change)


async def replace(
    connection: AsyncConnection,
    keys: RecordKeys,
    identity: UUID,
    letter: Letter,
    change: ContentChange,
) -> None:
    """Update a letter, with the change that made this version."""
    values = _columns(keys, identity, letter) | {"version": change.version}
    await connection.execute(
        update(record_letter).where(record_letter.c.id == identity).values(values)
    )
    await _add_change(connection, keys, identity, change)


async def update_due_day(connection: AsyncConnection, appeal_id: UUID) -> date | None:
    """Update the earliest day of an awaited answer in the record, and return it."""
    answered = exists().where(_answer.c.answers == record_letter.c.id)
    earliest = select(func.min(record_letter.c.answer_due_on)).where(
        record_letter.c.appeal_id == appeal_id, ~answered
    )
    updated = await connection.execute(
        update(record)
        .where(record.c.appeal_id == appeal_id)
        .values(letter_due_on=earliest.scalar_subquery(), changed_at=datetime.now(UTC))
        .returning(record.c.letter_due_on)
    )
    due_on: date | None = updated.scalar_one()
    return due_on


async def _add_change(
    connection: AsyncConnection, keys: RecordKeys, identity: UUID, change: ContentChange
) -> None:
    pairs = {name: [each.before, each.after] for name, each in change.differences.items()}
    secret = {name: pair for name, pair in pairs.items() if name in SEALED}
    await connection.execute(
        insert(record_letter_change).values(
            letter_id=identity,
            version=change.version,
            at=change.at,
            author=change.author,
            differences={name: pair for name, pair in pairs.items() if name not in SEALED},
            sealed=keys.seal(identity, secret),
        )
    )


def _columns(keys: RecordKeys, identity: UUID, letter: Letter) -> dict[str, Any]:
    """The columns of a letter; its sensitive values are encrypted."""
    values = {name: getattr(letter, name) for name in letter.__slots__}
    sealed = keys.seal(identity, {name: values.pop(name) for name in SEALED})
    return {name: getattr(value, "value", value) for name, value in values.items()} | {
        "sealed": sealed
    }


def _letters() -> Select[Any]:
    """Letters, each with its first answer."""
    first = (
        select(_answer.c.id)
        .where(_answer.c.answers == record_letter.c.id)
        .order_by(_answer.c.at, _answer.c.id)
        .limit(1)
    )
    return select(record_letter, first.scalar_subquery().label("answered_by"))


def _stored(keys: RecordKeys, row: Row[Any]) -> StoredLetter:
    letter = Letter(
        Direction(row.direction),
        LetterKind(row.kind),
        LetterParty(row.party),
        row.number,
        row.dated,
        answer_due_on=row.answer_due_on,
        answers=row.answers,
        scan=row.scan,
        **keys.open(row.id, row.sealed),
    )
    return StoredLetter(row.id, row.version, row.at, letter, row.answered_by)


def _field_changes(keys: RecordKeys, row: Row[Any]) -> dict[str, FieldChange]:
    pairs = row.differences | keys.open(row.letter_id, row.sealed)
    return {name: FieldChange(*pair) for name, pair in pairs.items()}


async def searchable(connection: AsyncConnection, keys: RecordKeys, appeal_id: UUID) -> list[str]:
    """The searchable texts of the letters of an appeal."""
    letters = await list_of_appeals(connection, keys, [appeal_id])
    return [
        text
        for letter in letters.get(appeal_id, ())
        for text in (letter.number, letter.whom, letter.about)
    ]
