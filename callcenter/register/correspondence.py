"""The letters and requests of an appeal: entered, and put right.

A day until which an answer is wanted is a term like those of the law: the earliest stands in the
record (`letter_due_on`), and so on the work lists and among the alarms.
"""

from datetime import UTC, date, datetime
from uuid import UUID, uuid4

from sqlalchemy import exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.audit.actions import Action
from callcenter.errors import N_, AskedWrongly
from callcenter.register import attachments, definitions, indexing, letters_store, store
from callcenter.register.handling import found, note
from callcenter.register.letters import SEALED, Letter, check_answers, checked
from callcenter.register.letters_store import Kept, answer, columns
from callcenter.register.merging import Change, Changed, differences, together
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


async def add(site: Site, visit: Visit, number: str, letter: Letter) -> Kept:
    """Enter a letter; the one that is there, if it says the same. Raises AskedWrongly, NotFound."""
    keys = Keys.read(site.settings)
    letter = checked(letter, _today(), state_calendar())
    async with unit_of_work(site.engine) as connection:
        row = await found(connection, number)
        of = await _alone_with(connection, keys, row.id)
        others = await letters_store.of_appeal(connection, keys, row.id)
        for each in others:
            if each.letter == letter:
                return each
        identity = uuid4()
        check_answers(identity, letter, {each.id: each.letter for each in others})
        await _check_scan(connection, keys, row.id, letter)
        now = datetime.now(UTC)
        values = columns(keys, identity, letter) | {"version": 1, "at": now}
        await connection.execute(
            insert(record_letter).values(id=identity, appeal_id=row.id, **values)
        )
        made = differences({}, letter.values)
        await _note(connection, keys, identity, Change(1, now, visit.who, made))
        return await _settled(connection, keys, visit, number, of, identity)


async def change(
    site: Site, visit: Visit, number: str, identity: UUID, version: int, letter: Letter
) -> Kept:
    """Put a letter right that was seen in this version. Raises Changed, AskedWrongly, NotFound."""
    keys = Keys.read(site.settings)
    letter = checked(letter, _today(), state_calendar())
    async with unit_of_work(site.engine) as connection:
        row = await found(connection, number)
        of = await _alone_with(connection, keys, row.id)
        known = {each.id: each for each in await letters_store.of_appeal(connection, keys, row.id)}
        before = known.pop(identity, None)
        if before is None:
            raise NotFound("there is no letter with this id")
        if before.version != version:
            since = [
                each
                for which, each in await letters_store.changes(connection, keys, row.id)
                if which == identity and each.version > version
            ]
            raise Changed(before.version, together(since), letter.values)
        made = differences(before.letter.values, letter.values)
        if not made:
            return before
        check_answers(identity, letter, {each.id: each.letter for each in known.values()})
        if letter.scan != before.letter.scan:
            await _check_scan(connection, keys, row.id, letter)
        now = datetime.now(UTC)
        values = columns(keys, identity, letter) | {"version": version + 1}
        await connection.execute(
            update(record_letter).where(record_letter.c.id == identity).values(values)
        )
        await _note(connection, keys, identity, Change(version + 1, now, visit.who, made))
        return await _settled(connection, keys, visit, number, of, identity)


async def _alone_with(connection: AsyncConnection, keys: Keys, appeal_id: UUID) -> store.Record:
    """The record of an appeal, which nobody changes until this transaction ends.

    Raises AskedWrongly: nothing is written of it, or there was no request.
    """
    known = await store.find(connection, keys, appeal_id, alone=True)
    if known.version == 0 or known.stage is Stage.NO_REQUEST:
        raise AskedWrongly(NOT_WRITTEN)
    return known


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
    of: store.Record,
    identity: UUID,
) -> Kept:
    """The letter, once its record knows until when answers are wanted, and is found by what the
    letter says; with an audit entry.

    Raises AskedWrongly when one is wanted of an appeal that has ended.
    """
    answered = exists().where(answer.c.answers == record_letter.c.id)
    waits = select(func.min(record_letter.c.answer_due_on)).where(
        record_letter.c.appeal_id == of.appeal_id, ~answered
    )
    settled = await connection.execute(
        update(record)
        .where(record.c.appeal_id == of.appeal_id)
        .values(letter_due_on=waits.scalar_subquery(), changed_at=datetime.now(UTC))
        .returning(record.c.letter_due_on)
    )
    if settled.scalar_one() is not None and of.stage in ENDED:
        raise AskedWrongly(HAS_ENDED)
    form = await definitions.form(connection)
    await indexing.index(connection, keys, form, of.appeal_id, of.content)
    kept = await letters_store.find(connection, keys, identity)
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


def _today() -> date:
    return datetime.now(ZONE).date()
