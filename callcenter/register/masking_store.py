"""Masking in PostgreSQL: whose personal data are due, what keeps them, and how they are erased."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    column,
    exists,
    func,
    or_,
    select,
    table,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals import store as appeals
from callcenter.appeals.tables import appeal
from callcenter.recordings.tables import recording, recording_hold
from callcenter.register import indexing, masking_parts, store
from callcenter.register.fields import Form, Value
from callcenter.register.lists import UNWRITTEN
from callcenter.register.masking import Ended, Goes, IsKept, Keeps, remaining, remaining_change
from callcenter.register.private import Keys
from callcenter.register.stages import ENDED
from callcenter.register.tables import masked, record, record_change

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
) -> tuple[int, dict[Keeps, int], dict[Goes, int]]:
    """How many a rule would mask now; how many it would not, by what keeps them; what would go."""
    over = (
        _appeals(appeal.c.id, *(each.label(why.value) for why, each in _keeping(now).items()))
        .where(_due(kind, now - timedelta(days=days)))
        .cte("over")
    )
    keeping = [over.c[why.value] for why in Keeps]
    free = and_(*(~_never_null(each) for each in keeping))
    # All by one statement, so that those whose time is over are looked for once.
    numbers: list[ColumnElement[int]] = [func.count().filter(each) for each in (free, *keeping)]
    numbers += masking_parts.counts(select(over.c.id).where(free))
    row = (await connection.execute(select(*numbers).select_from(over))).one()
    kept = dict(zip(Keeps, row[1:], strict=False))
    return row[0], kept, dict(zip(masking_parts.PARTS, row[1 + len(kept) :], strict=True))


async def counted_of(connection: AsyncConnection, form: Form, appeal_id: UUID) -> dict[Goes, int]:
    """What would go of this appeal beside its content, if nothing keeps it."""
    this = select(appeal.c.id).where(appeal.c.id == appeal_id)
    changes = await _told_by_changes(connection, form, appeal_id)
    row = (await connection.execute(select(*masking_parts.counts(this)))).one()
    return dict(zip(masking_parts.PARTS, row, strict=True)) | {Goes.CHANGES: len(changes)}


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
    await masking_parts.erase(connection, appeal_id)
    if before.version:
        await _mask_record(connection, keys, form, before)
    values = {"masking_id": masking_id, "at": datetime.now(UTC)}
    await connection.execute(
        upsert(masked)
        .values(appeal_id=appeal_id, **values)
        .on_conflict_do_update(index_elements=["appeal_id"], set_=values)
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
    )
    for version, differences in (await _told_by_changes(connection, form, this)).items():
        await connection.execute(
            update(record_change)
            .where(record_change.c.appeal_id == this, record_change.c.version == version)
            .values(differences=differences, sealed=None)
        )
    await indexing.index(connection, keys, form, this, content)
    await indexing.forget_words(connection, said)


async def _told_by_changes(
    connection: AsyncConnection, form: Form, appeal_id: UUID
) -> dict[int, dict[str, Sequence[Value | None]]]:
    """Versions of a record whose change tells of people, each with what stays of that change."""
    columns = (record_change.c[name] for name in ("version", "differences", "sealed"))
    query = select(*columns).where(record_change.c.appeal_id == appeal_id)
    stays = {}
    for row in await connection.execute(query):
        left = remaining_change(form, row.differences)
        if row.sealed is not None or left != row.differences:
            stays[row.version] = left
    return stays


def _never_null(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """NULL (there is no record to be asked) is no reason."""
    return func.coalesce(condition, False)
