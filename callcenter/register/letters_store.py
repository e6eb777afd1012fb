"""Letters of appeals in PostgreSQL: as they are, and what was changed of them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.cursor import Place
from callcenter.register.letters import SEALED, Direction, Kind, Letter, Party
from callcenter.register.merging import Change, Difference
from callcenter.register.private import Keys
from callcenter.register.tables import record_letter, record_letter_change

#: A letter that answers another one.
answer = record_letter.alias("answer")


@dataclass(frozen=True, slots=True)
class Kept:
    """A letter of an appeal: 1 is its first version; `answered_by` the first that answers it."""

    id: UUID
    version: int
    at: datetime
    letter: Letter
    answered_by: UUID | None

    @property
    def waits_until(self) -> date | None:
        """Until when an answer is still wanted."""
        return self.letter.answer_due_on if self.answered_by is None else None


async def of_appeal(
    connection: AsyncConnection,
    keys: Keys,
    appeal_id: UUID,
    *,
    after: Place | None = None,
    limit: int | None = None,
) -> list[Kept]:
    """Those of an appeal, the last entered first, from `after` on. Raises Unreadable."""
    order = (record_letter.c.at, record_letter.c.id)
    query = _letters().where(record_letter.c.appeal_id == appeal_id).limit(limit)
    if after is not None:
        query = query.where(tuple_(*order) < after)
    rows = await connection.execute(query.order_by(*(each.desc() for each in order)))
    return [_kept(keys, row) for row in rows]


async def find(connection: AsyncConnection, keys: Keys, identity: UUID) -> Kept:
    """The letter of this id, which is there."""
    [row] = await connection.execute(_letters().where(record_letter.c.id == identity))
    return _kept(keys, row)


async def of_appeals(
    connection: AsyncConnection, keys: Keys, appeal_ids: Collection[UUID]
) -> Mapping[UUID, Sequence[Letter]]:
    """Those of several appeals, by the days on them. Raises Unreadable."""
    query = _letters().where(record_letter.c.appeal_id.in_(appeal_ids))
    found: dict[UUID, list[Letter]] = {}
    for row in await connection.execute(query.order_by(record_letter.c.dated, record_letter.c.at)):
        found.setdefault(row.appeal_id, []).append(_kept(keys, row).letter)
    return found


async def changes(
    connection: AsyncConnection, keys: Keys, appeal_id: UUID
) -> list[tuple[UUID, Change]]:
    """What was changed of the letters of an appeal, each with its id, in its order."""
    query = (
        select(record_letter_change)
        .join(record_letter, record_letter.c.id == record_letter_change.c.letter_id)
        .where(record_letter.c.appeal_id == appeal_id)
        .order_by(record_letter_change.c.at, record_letter_change.c.version)
    )
    return [
        (row.letter_id, Change(row.version, row.at, row.author, _pairs(keys, row)))
        for row in await connection.execute(query)
    ]


def columns(keys: Keys, identity: UUID, letter: Letter) -> dict[str, Any]:
    """What a letter says, as its row has it."""
    values = {name: getattr(letter, name) for name in letter.__slots__}
    sealed = keys.seal(identity, {name: values.pop(name) for name in SEALED})
    return {name: getattr(value, "value", value) for name, value in values.items()} | {
        "sealed": sealed
    }


def _letters() -> Select[Any]:
    """Letters, with the first that answers each."""
    first = (
        select(answer.c.id)
        .where(answer.c.answers == record_letter.c.id)
        .order_by(answer.c.at, answer.c.id)
        .limit(1)
    )
    return select(record_letter, first.scalar_subquery().label("answered_by"))


def _kept(keys: Keys, row: Row[Any]) -> Kept:
    letter = Letter(
        Direction(row.direction),
        Kind(row.kind),
        Party(row.party),
        row.number,
        row.dated,
        answer_due_on=row.answer_due_on,
        answers=row.answers,
        scan=row.scan,
        **keys.open(row.id, row.sealed),
    )
    return Kept(row.id, row.version, row.at, letter, row.answered_by)


def _pairs(keys: Keys, row: Row[Any]) -> dict[str, Difference]:
    pairs = row.differences | keys.open(row.letter_id, row.sealed)
    return {name: Difference(*pair) for name, pair in pairs.items()}
