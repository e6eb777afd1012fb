"""Masking in PostgreSQL: whose personal data are due, what keeps them, and how they are erased."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    column,
    delete,
    exists,
    false,
    func,
    or_,
    select,
    table,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals import store as appeals
from callcenter.appeals.tables import appeal, outgoing_call
from callcenter.recordings.tables import recording, recording_hold
from callcenter.register import drafts, indexing, store
from callcenter.register.fields import Form
from callcenter.register.lists import UNWRITTEN
from callcenter.register.masking import Ended, IsKept, Keeps, remaining, remaining_change
from callcenter.register.private import Keys
from callcenter.register.stages import ENDED
from callcenter.register.tables import (
    masked,
    record,
    record_attachment,
    record_change,
    record_identifier,
    record_letter,
    record_letter_change,
    record_move,
    record_reminder,
)

# Rooms above this one; of each we need only what is said here.
_promise = table("promise", *map(column, ("appeal_id", "state", "number")))
_demand = table("demand", *map(column, ("state", "appeal_number", "caller_number")))
_CARRIED_OUT = ("handed_over", "acknowledged", "refused", "withdrawn")


def _keeping(now: datetime) -> Mapping[Keeps, ColumnElement[bool]]:
    """Of an appeal beside its record: what keeps its personal data."""
    target = record.alias("target")
    ended = [stage.value for stage in ENDED]
    return {
        Keeps.GOES_ON: or_(
            record.c.stage.not_in(ended),
            exists().where(
                target.c.appeal_id == record.c.joined_to, target.c.stage.not_in(ended)
            ),
            and_(record.c.joined_to.is_not(None), ~exists().where(
                target.c.appeal_id == record.c.joined_to)),
            and_(
                record.c.appeal_id.is_(None),
                or_(appeal.c.outcome.is_(None), appeal.c.received_at > now - UNWRITTEN),
            ),
        ),
        Keeps.OWED: exists().where(
            _promise.c.appeal_id == appeal.c.id, _promise.c.state == "open"
        ),
        Keeps.HELD: exists().where(
            recording.c.appeal_id == appeal.c.id,
            recording_hold.c.recording_id == recording.c.id,
            recording_hold.c.ended_at.is_(None),
        ),
        Keeps.DEMANDED: exists().where(
            _demand.c.state.not_in(_CARRIED_OUT),
            or_(
                _demand.c.appeal_number == appeal.c.number,
                _demand.c.caller_number == appeal.c.caller_number,
            ),
        ),
    }  # fmt: skip


def _appeals(*columns: ColumnElement[Any]) -> Select[Any]:
    return select(*columns).select_from(appeal.outerjoin(record, record.c.appeal_id == appeal.c.id))


def _due(kind: Ended, before: datetime) -> ColumnElement[bool]:
    """Those that a rule is about, that ended before then and still have personal data."""
    # What somebody has written since then, in an appeal that was opened again, is there.
    done = or_(record.c.appeal_id.is_(None), masked.c.at >= record.c.changed_at)
    there = ~exists().where(masked.c.appeal_id == appeal.c.id, done)
    if kind is Ended.UNWRITTEN:
        unsaid = or_(record.c.appeal_id.is_(None), record.c.kind.is_(None))
        return and_(
            unsaid, appeal.c.received_at < before, appeal.c.caller_number.is_not(None), there
        )
    return and_(record.c.kind == kind.value, record.c.changed_at < before, there)


async def due(
    connection: AsyncConnection, kind: Ended, days: int, now: datetime, *, limit: int
) -> list[tuple[UUID, str]]:
    """Appeals whose time is over and that nothing keeps: id and number, the oldest first."""
    free = [~condition for condition in map(_never_null, _keeping(now).values())]
    query = (
        _appeals(appeal.c.id, appeal.c.number)
        .where(_due(kind, now - timedelta(days=days)), *free)
        .order_by(appeal.c.received_at)
        .limit(limit)
    )
    return [(row.id, row.number) for row in await connection.execute(query)]


async def counted(
    connection: AsyncConnection, kind: Ended, days: int, now: datetime
) -> tuple[int, dict[Keeps, int]]:
    """How many a rule would mask now; and how many it would not, by what keeps them."""
    keeping = _keeping(now)
    over = _due(kind, now - timedelta(days=days))
    free = [~condition for condition in map(_never_null, keeping.values())]
    columns = [func.count().filter(each) for each in (and_(*free), *keeping.values())]
    row = (await connection.execute(_appeals(*columns).where(over))).one()
    return row[0], dict(zip(keeping, row[1:], strict=True))


async def why_kept(connection: AsyncConnection, appeal_id: UUID, now: datetime) -> list[Keeps]:
    """What keeps the personal data of an appeal; nothing: they may be masked."""
    keeping = _keeping(now)
    query = _appeals(*keeping.values()).where(appeal.c.id == appeal_id)
    row = (await connection.execute(query)).one()
    return [each for each, holds in zip(keeping, row, strict=True) if holds]


async def mask(
    connection: AsyncConnection,
    keys: Keys,
    form: Form,
    appeal_id: UUID,
    *,
    masking_id: UUID,
    now: datetime,
) -> None:
    """Erase what tells of people in this appeal, in this transaction. Again is nothing.

    Raises IsKept. Whoever edits the record meanwhile sees that it was changed.
    """
    await appeals.alone_with(connection, appeal_id)
    before = await store.find(connection, keys, appeal_id, alone=True)
    why = await why_kept(connection, appeal_id, now)
    if why:
        raise IsKept(why)
    await mask_around(connection, appeal_id)
    if before.version:
        await _mask_record(connection, keys, form, before)
    values = {"masking_id": masking_id, "at": datetime.now(UTC)}
    await connection.execute(
        upsert(masked)
        .values(appeal_id=appeal_id, **values)
        .on_conflict_do_update(index_elements=["appeal_id"], set_=values)
    )


async def mask_around(connection: AsyncConnection, appeal_id: UUID) -> None:
    """What tells of people beside a record: who called and whom we called, drafts, files (the
    worker removes them), reminders, letters, hashes of ИИН, reasons of steps.

    Where somebody is still to be called, the promise keeps the number.
    """
    await appeals.forget_caller(connection, appeal_id)
    kept_promise = _promise.c.state == "open"
    for kept, but in ((outgoing_call, false()), (_promise, kept_promise)):
        await connection.execute(
            update(kept)
            .where(kept.c.appeal_id == appeal_id, kept.c.number.is_not(None), ~but)
            .values(number="")
        )
    await drafts.drop(connection, appeal_id)
    await connection.execute(
        update(record_attachment)
        .where(record_attachment.c.appeal_id == appeal_id)
        .values(state="erased", sealed_name=None, why=None)
    )
    of_appeal = record_letter.c.appeal_id == appeal_id
    letters = select(record_letter.c.id).where(of_appeal)
    for sealed, which in (
        (record_letter, of_appeal),
        (record_letter_change, record_letter_change.c.letter_id.in_(letters)),
    ):
        await connection.execute(update(sealed).where(which).values(sealed=None))
    for kept in (record_reminder, record_identifier):
        await connection.execute(delete(kept).where(kept.c.appeal_id == appeal_id))
    await connection.execute(
        update(record_move).where(record_move.c.appeal_id == appeal_id).values(reason="")
    )


async def _mask_record(
    connection: AsyncConnection, keys: Keys, form: Form, before: store.Record
) -> None:
    this = before.appeal_id
    content = remaining(form, before.content)
    said = await store.words_ever(connection, keys, form, before)
    await store.change_row(
        connection,
        before,
        version=before.version + 1,
        content=content,
        sealed=None,
        receipt_code=None,
    )
    changes = select(record_change.c.version, record_change.c.differences).where(
        record_change.c.appeal_id == this
    )
    for row in (await connection.execute(changes)).all():
        await connection.execute(
            update(record_change)
            .where(record_change.c.appeal_id == this, record_change.c.version == row.version)
            .values(differences=remaining_change(form, row.differences), sealed=None)
        )
    await indexing.index(connection, keys, form, this, content)
    await indexing.forget_words(connection, said)


def _never_null(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """NULL (there is no record to be asked) is no reason."""
    return func.coalesce(condition, False)
