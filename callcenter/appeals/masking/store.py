"""Masking in PostgreSQL: which appeals are due, what retains their data, and the erasure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls import store as appeals
from callcenter.appeals.calls.tables import appeal
from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.masking.retention import RetentionReason
from callcenter.appeals.record import personal_data, search_index, store
from callcenter.appeals.rules.fields import Form, Value
from callcenter.appeals.rules.masking import (
    RetentionRequired,
    RuleScope,
    remaining,
    remaining_change,
)
from callcenter.appeals.tables import masked, masking, record, record_change
from callcenter.platform.core.registry import offers
from callcenter.recordings.tables import recording

_IS_RULE_IN_FORCE = and_(masking.c.state == "approved", masking.c.kind.is_not(None))


@dataclass(frozen=True, slots=True)
class MaskingRequest:
    """A request, or a rule: of one appeal (`number`), or of a kind so many days after its end."""

    id: UUID
    appeal_id: UUID | None
    number: str | None
    kind: RuleScope | None
    days: int | None
    state: str
    reason: str
    asked_by: str
    asked_at: datetime
    decided_by: str | None


def _appeals(*columns: ColumnElement[Any]) -> Select[Any]:
    return select(*columns).select_from(appeal.outerjoin(record, record.c.appeal_id == appeal.c.id))


def _due(kind: RuleScope, before: datetime) -> ColumnElement[bool]:
    """Condition: in the scope of a rule, ended before then, and with personal data left."""
    # An appeal that was opened again after it was masked may have data once more.
    done = or_(record.c.appeal_id.is_(None), masked.c.at >= record.c.changed_at)
    is_left = ~exists().where(masked.c.appeal_id == appeal.c.id, done)
    if kind is RuleScope.UNWRITTEN:
        is_unwritten = or_(record.c.appeal_id.is_(None), record.c.kind.is_(None))
        return and_(
            is_unwritten,
            appeal.c.received_at < before,
            appeal.c.caller_number.is_not(None),
            is_left,
        )
    return and_(record.c.kind == kind.value, record.c.changed_at < before, is_left)


async def list_due(
    connection: AsyncConnection, kind: RuleScope, days: int, now: datetime, *, limit: int
) -> list[tuple[UUID, str]]:
    """Return appeals whose term is over and that nothing retains: id and number, oldest first."""
    query = (
        _appeals(appeal.c.id, appeal.c.number)
        .where(_due(kind, now - timedelta(days=days)), *(~each for each in _retained(now)))
        .order_by(appeal.c.received_at)
        .limit(limit)
    )
    return [(row.id, row.number) for row in await connection.execute(query)]


async def count_due(
    connection: AsyncConnection, kind: RuleScope, days: int, now: datetime
) -> tuple[int, dict[str, int], dict[str, int]]:
    """Count what a rule would mask now.

    Returns the number of appeals, the number of retained ones by reason, and the number of rows
    that would be erased by part of personal data.
    """
    keys = [reason.key for reason in offers(RetentionReason)]
    labelled = (each.label(key) for key, each in zip(keys, _retained(now), strict=True))
    over = (
        _appeals(appeal.c.id, *labelled).where(_due(kind, now - timedelta(days=days))).cte("over")
    )
    retained = [over.c[key] for key in keys]
    free = and_(*(~each for each in retained))
    # All by one statement, so that appeals whose term is over are searched once.
    numbers: list[ColumnElement[int]] = [func.count().filter(each) for each in (free, *retained)]
    numbers += personal_data.counts(select(over.c.id).where(free))
    first, *others = (await connection.execute(select(*numbers).select_from(over))).one()
    by_reason = dict(zip(keys, others, strict=False))
    return first, by_reason, _by_part(others[len(keys) :])


async def count_parts(connection: AsyncConnection, form: Form, appeal_id: UUID) -> dict[str, int]:
    """Count what would be erased of this appeal beside its content, by part."""
    this = select(appeal.c.id).where(appeal.c.id == appeal_id)
    changes = await _personal_changes(connection, form, appeal_id)
    row = (await connection.execute(select(*personal_data.counts(this)))).one()
    return _by_part(row) | {personal_data.CHANGES: len(changes)}


def _by_part(numbers: Sequence[int]) -> dict[str, int]:
    return dict(zip((part.key for part in personal_data.parts()), numbers, strict=True))


async def find_reasons(connection: AsyncConnection, appeal_id: UUID, now: datetime) -> list[str]:
    """Return the keys of reasons that retain the data of an appeal; none: it may be masked."""
    query = _appeals(*_retained(now)).where(appeal.c.id == appeal_id)
    row = (await connection.execute(query)).one()
    return [each.key for each, holds in zip(offers(RetentionReason), row, strict=True) if holds]


async def mask(
    connection: AsyncConnection,
    keys: RecordKeys,
    form: Form,
    appeal_id: UUID,
    *,
    masking_id: UUID,
    now: datetime,
) -> None:
    """Erase the personal data of this appeal, in this transaction. Repeatable.

    Raises RetentionRequired. An edit of the record meanwhile becomes an edit conflict.
    """
    before = await store.find(connection, keys, appeal_id, alone=True)
    reasons = await find_reasons(connection, appeal_id, now)
    if reasons:
        raise RetentionRequired(reasons)
    await _erase(connection, keys, form, before, masking_id)


async def _erase(
    connection: AsyncConnection,
    keys: RecordKeys,
    form: Form,
    before: store.Record,
    masking_id: UUID,
) -> None:
    await personal_data.erase(connection, before.appeal_id)
    if before.version:
        await _mask_record(connection, keys, form, before)
    values = {"masking_id": masking_id, "at": datetime.now(UTC)}
    await connection.execute(
        upsert(masked)
        .values(appeal_id=before.appeal_id, **values)
        .on_conflict_do_update(index_elements=["appeal_id"], set_=values)
    )


_CARRIED_OUT = ("kind", "days", "reason", "asked_by", "asked_at", "decided_by", "decided_at")


@dataclass(frozen=True, slots=True)
class MaskedAppeal:
    """A masking that was carried out, with all that it takes to repeat it after a restore."""

    appeal_id: UUID
    call_id: str | None
    at: datetime
    masking_id: UUID
    kind: str | None
    days: int | None
    reason: str
    asked_by: str
    asked_at: datetime
    decided_by: str
    decided_at: datetime
    decision: str


async def list_masked(
    connection: AsyncConnection, since: datetime, until: datetime
) -> list[MaskedAppeal]:
    """Maskings that were carried out from `since` to before `until`."""
    columns = [masking.c[name] for name in (*_CARRIED_OUT, "decision")]
    query = (
        select(masked.c.appeal_id, appeal.c.call_id, masked.c.at, masked.c.masking_id, *columns)
        .join(masking, masking.c.id == masked.c.masking_id)
        .join(appeal, appeal.c.id == masked.c.appeal_id)
        .where(masked.c.at >= since, masked.c.at < until)
    )
    return [MaskedAppeal(*row) for row in await connection.execute(query)]


async def repeat_masking(
    connection: AsyncConnection, keys: RecordKeys, form: Form, done: MaskedAppeal
) -> UUID | None:
    """Mask again what a restore brought back; returns the appeal, None when it is masked.

    Whatever retained the data then was over. An appeal that was entered again from CEL is found by
    its call. Raises NotFound when there is neither.
    """
    appeal_id = await appeals.find_again(connection, done.appeal_id, done.call_id)
    await appeals.lock_appeal(connection, appeal_id)
    later = select(masked.c.at).where(masked.c.appeal_id == appeal_id, masked.c.at >= done.at)
    if (await connection.execute(later)).first() is not None:
        return None
    decided = {"decided_by": done.decided_by, "decided_at": done.decided_at}
    decided |= {"decision": done.decision}
    is_rule = done.kind is not None
    await connection.execute(
        upsert(masking)
        .values(
            id=done.masking_id,
            appeal_id=None if is_rule else appeal_id,
            # A rule that a restore lost is not in force again: somebody decides on it anew.
            state="ended" if is_rule else "approved",
            **{name: getattr(done, name) for name in (*_CARRIED_OUT, "decision")},
        )
        .on_conflict_do_update(
            index_elements=["id"],
            set_={"state": "approved", **decided},
            where=and_(masking.c.state == "asked", masking.c.appeal_id.is_not(None)),
        )
    )
    before = await store.find(connection, keys, appeal_id, alone=True)
    await _erase(connection, keys, form, before, done.masking_id)
    return appeal_id


async def _mask_record(
    connection: AsyncConnection, keys: RecordKeys, form: Form, before: store.Record
) -> None:
    this = before.appeal_id
    content = remaining(form, before.content)
    words = await store.find_vocabulary(connection, keys, form, before)
    await store.change_row(
        connection,
        before,
        version=before.version + 1,
        content=content,
        sealed=None,
    )
    for version, differences in (await _personal_changes(connection, form, this)).items():
        await connection.execute(
            update(record_change)
            .where(record_change.c.appeal_id == this, record_change.c.version == version)
            .values(differences=differences, sealed=None)
        )
    await search_index.index(connection, keys, form, this, content)
    await search_index.delete_words(connection, words)


async def _personal_changes(
    connection: AsyncConnection, form: Form, appeal_id: UUID
) -> dict[int, dict[str, Sequence[Value | None]]]:
    """Return versions of a record whose change is personal, each with what stays of it."""
    columns = (record_change.c[name] for name in ("version", "differences", "sealed"))
    query = select(*columns).where(record_change.c.appeal_id == appeal_id)
    stays = {}
    for row in await connection.execute(query):
        left = remaining_change(form, row.differences)
        if row.sealed is not None or left != row.differences:
            stays[row.version] = left
    return stays


def _retained(now: datetime) -> list[ColumnElement[bool]]:
    """Conditions of all reasons; NULL (there is no record) is no reason."""
    return [func.coalesce(reason.applies(now), False) for reason in offers(RetentionReason)]


async def find_request(connection: AsyncConnection, request_id: UUID) -> MaskingRequest:
    """The request or rule of this id, which is there."""
    [request] = await _read_requests(connection, masking.c.id == request_id)
    return request


async def list_pending(connection: AsyncConnection) -> list[MaskingRequest]:
    """Return requests without a decision, the oldest first."""
    return await _read_requests(connection, masking.c.state == "asked")


async def list_rules(connection: AsyncConnection) -> list[MaskingRequest]:
    """Return the rules in force."""
    return await _read_requests(connection, _IS_RULE_IN_FORCE)


async def end_rule(connection: AsyncConnection, rule_id: UUID) -> MaskingRequest | None:
    """End the rule of this id; returns it, None when none is in force."""
    is_in_force = (
        masking.c.id == rule_id,
        masking.c.state == "approved",
        masking.c.kind.is_not(None),
    )
    rules = await _read_requests(connection, *is_in_force)
    await connection.execute(update(masking).where(*is_in_force).values(state="ended"))
    return rules[0] if rules else None


async def end_rules(connection: AsyncConnection, kind: RuleScope) -> None:
    """End the rule of this kind that is in force, for a new one replaces it."""
    await connection.execute(
        update(masking)
        .where(masking.c.kind == kind.value, masking.c.state == "approved")
        .values(state="ended")
    )


async def _read_requests(
    connection: AsyncConnection, *conditions: ColumnElement[bool]
) -> list[MaskingRequest]:
    columns = ("appeal_id", "kind", "days", "state", "reason", "asked_by", "asked_at", "decided_by")
    query = (
        select(masking.c.id, appeal.c.number, *(masking.c[name] for name in columns))
        .select_from(masking.outerjoin(appeal, appeal.c.id == masking.c.appeal_id))
        .where(*conditions)
        .order_by(masking.c.asked_at, masking.c.id)
    )
    return [
        MaskingRequest(**dict(row) | {"kind": row["kind"] and RuleScope(row["kind"])})
        for row in (await connection.execute(query)).mappings()
    ]


async def count_recordings(connection: AsyncConnection, appeal_id: UUID) -> int:
    """How many stored recordings an appeal has."""
    query = select(func.count()).where(
        recording.c.appeal_id == appeal_id, recording.c.state == "stored"
    )
    return int((await connection.execute(query)).scalar_one())
