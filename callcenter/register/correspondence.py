"""The letters and requests of an appeal: entered, put right, and what was changed of them.

A day until which an answer is wanted is a term like those of the law: the earliest stands in the
record (`letter_due_on`), and so on the work lists and among the alarms.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row, Select, exists, func, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.cursor import Place
from callcenter.audit.actions import Action
from callcenter.errors import N_, AskedWrongly
from callcenter.register import attachments, store
from callcenter.register.handling import found, note
from callcenter.register.letters import (
    SEALED,
    Direction,
    Kind,
    Letter,
    Party,
    check_answers,
    checked,
)
from callcenter.register.merging import Change, Changed, Difference, differences, together
from callcenter.register.private import Keys
from callcenter.register.stages import ENDED, Stage
from callcenter.register.tables import record, record_letter, record_letter_change
from callcenter.storage.engine import unit_of_work
from callcenter.web.errors import NotFound
from callcenter.web.site import Site, Visit
from callcenter.web.words import ZONE
from callcenter.workdays.calendar import state_calendar

NOT_WRITTEN = N_("save the record first: a letter is a part of it")
HAS_ENDED = N_("this appeal has ended: open it again before you wait for an answer")
NO_FILE = N_("the scan is a file of this appeal: attach it first")

_answer = record_letter.alias("answer")


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


async def add(site: Site, visit: Visit, number: str, letter: Letter) -> Kept:
    """Enter a letter; the one that is there, if it says the same. Raises AskedWrongly, NotFound."""
    keys = Keys.read(site.settings)
    letter = checked(letter, _today(), state_calendar())
    async with unit_of_work(site.engine) as connection:
        row = await found(connection, number)
        stage = await _alone_with(connection, keys, row.id)
        others = await of_appeal(connection, keys, row.id)
        for each in others:
            if each.letter == letter:
                return each
        identity = uuid4()
        check_answers(identity, letter, {each.id: each.letter for each in others})
        await _check_scan(connection, keys, row.id, letter)
        now = datetime.now(UTC)
        values = _columns(keys, identity, letter) | {"version": 1, "at": now}
        await connection.execute(
            insert(record_letter).values(id=identity, appeal_id=row.id, **values)
        )
        made = differences({}, letter.values)
        await _note(connection, keys, identity, Change(1, now, visit.who, made))
        return await _settled(connection, keys, visit, number, row.id, stage, identity)


async def change(
    site: Site, visit: Visit, number: str, identity: UUID, version: int, letter: Letter
) -> Kept:
    """Put a letter right that was seen in this version. Raises Changed, AskedWrongly, NotFound."""
    keys = Keys.read(site.settings)
    letter = checked(letter, _today(), state_calendar())
    async with unit_of_work(site.engine) as connection:
        row = await found(connection, number)
        stage = await _alone_with(connection, keys, row.id)
        known = {each.id: each for each in await of_appeal(connection, keys, row.id)}
        before = known.pop(identity, None)
        if before is None:
            raise NotFound("there is no letter with this id")
        if before.version != version:
            since = [
                each
                for of, each in await changes(connection, keys, row.id)
                if of == identity and each.version > version
            ]
            raise Changed(before.version, together(since), letter.values)
        made = differences(before.letter.values, letter.values)
        if not made:
            return before
        check_answers(identity, letter, {each.id: each.letter for each in known.values()})
        if letter.scan != before.letter.scan:
            await _check_scan(connection, keys, row.id, letter)
        now = datetime.now(UTC)
        values = _columns(keys, identity, letter) | {"version": version + 1}
        await connection.execute(
            update(record_letter).where(record_letter.c.id == identity).values(values)
        )
        await _note(connection, keys, identity, Change(version + 1, now, visit.who, made))
        return await _settled(connection, keys, visit, number, row.id, stage, identity)


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


async def _alone_with(connection: AsyncConnection, keys: Keys, appeal_id: UUID) -> Stage:
    """The stage of an appeal, which nobody changes until this transaction ends.

    Raises AskedWrongly: nothing is written of it, or there was no request.
    """
    known = await store.find(connection, keys, appeal_id, alone=True)
    if known.version == 0 or known.stage is Stage.NO_REQUEST:
        raise AskedWrongly(NOT_WRITTEN)
    return known.stage


async def _check_scan(
    connection: AsyncConnection, keys: Keys, appeal_id: UUID, letter: Letter
) -> None:
    if letter.scan is None:
        return
    files = await attachments.of_appeal(connection, keys, appeal_id)
    if not any(each.id == letter.scan and each.state in attachments.THERE for each in files):
        raise AskedWrongly(NO_FILE)


async def _settled(
    connection: AsyncConnection,
    keys: Keys,
    visit: Visit,
    number: str,
    appeal_id: UUID,
    stage: Stage,
    identity: UUID,
) -> Kept:
    """The letter, once its record knows until when answers are wanted; with an audit entry.

    Raises AskedWrongly when one is wanted of an appeal that has ended.
    """
    answered = exists().where(_answer.c.answers == record_letter.c.id)
    waits = select(func.min(record_letter.c.answer_due_on)).where(
        record_letter.c.appeal_id == appeal_id, ~answered
    )
    settled = await connection.execute(
        update(record)
        .where(record.c.appeal_id == appeal_id)
        .values(letter_due_on=waits.scalar_subquery(), changed_at=datetime.now(UTC))
        .returning(record.c.letter_due_on)
    )
    if settled.scalar_one() is not None and stage in ENDED:
        raise AskedWrongly(HAS_ENDED)
    [row] = await connection.execute(_letters().where(record_letter.c.id == identity))
    kept = _kept(keys, row)
    action, version = Action.LETTER_KEPT, kept.version
    await note(connection, visit, action, number, letter=str(identity), version=version)
    return kept


async def _note(connection: AsyncConnection, keys: Keys, identity: UUID, made: Change) -> None:
    pairs = {name: [each.before, each.after] for name, each in made.differences.items()}
    secret = {name: pair for name, pair in pairs.items() if name in SEALED}
    await connection.execute(
        insert(record_letter_change).values(
            letter_id=identity,
            version=made.version,
            at=made.at,
            author=made.author,
            differences={name: pair for name, pair in pairs.items() if name not in SEALED},
            sealed=keys.seal(identity, secret),
        )
    )


def _letters() -> Select[Any]:
    """Letters, with the first that answers each."""
    first = (
        select(_answer.c.id)
        .where(_answer.c.answers == record_letter.c.id)
        .order_by(_answer.c.at, _answer.c.id)
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


def _columns(keys: Keys, identity: UUID, letter: Letter) -> dict[str, Any]:
    values = {name: getattr(letter, name) for name in letter.__slots__}
    sealed = keys.seal(identity, {name: values.pop(name) for name in SEALED})
    return {name: getattr(value, "value", value) for name, value in values.items()} | {
        "sealed": sealed
    }


def _pairs(keys: Keys, row: Row[Any]) -> dict[str, Difference]:
    pairs = row.differences | keys.open(row.letter_id, row.sealed)
    return {name: Difference(*pair) for name, pair in pairs.items()}


def _today() -> date:
    return datetime.now(ZONE).date()
