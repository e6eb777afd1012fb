"""Promises in PostgreSQL: made, claimed by one controller, attempted, ended. Times are aware."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, and_, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals import outgoing
from callcenter.appeals import store as appeals
from callcenter.appeals.tables import appeal
from callcenter.consultants.tables import consultant
from callcenter.promises.states import OVERDUE, Kind, State
from callcenter.promises.tables import promise
from callcenter.recordings.tables import recording
from callcenter.storage.engine import Transaction, as_json, within

#: How long a claim lasts unless it is renewed. Another controller goes on after it.
CLAIM = timedelta(seconds=10)
_SERVE = """
    UPDATE promise SET state = 'served', ended_at = new.at
    FROM jsonb_to_recordset(CAST(%(rows)s AS jsonb)) AS new (appeal_id uuid, at timestamptz)
        JOIN appeal ON appeal.id = new.appeal_id
    WHERE promise.state = 'open' AND promise.kind = 'callback'
        AND (promise.number = appeal.caller_number OR promise.appeal_id = appeal.id)
"""
REPLACED = "callback_replaced"  # the moment of an appeal, see line.outcomes


@dataclass(frozen=True, slots=True)
class Claimed:
    """A promise that one controller takes care of. `number` is personal data: never log it.

    A message has none of its own. `appeal` is the number of the appeal, `had_by` the extension of
    the consultant who has it.
    """

    id: UUID
    kind: Kind
    appeal_id: UUID
    number: str | None
    language: str
    urgent: bool
    arrived_at: datetime
    attempts: int
    urgencies: Sequence[str]
    appeal: str
    had_by: str | None


async def promise_callback(
    connection: AsyncConnection,
    *,
    promise_id: UUID,
    appeal_id: UUID,
    number: str,
    language: str,
    urgent: bool,
    arrived_at: datetime,
    promised_at: datetime,
) -> None:
    """Promise to call this number back. Repeatable.

    An open promise for the same number, or to somebody who called from the same one, is replaced by
    this one, which takes over its place in the queue and its urgency; the earlier appeal says so.
    Should the number be called for the earlier one this moment, it is not called again before the
    pause after that attempt.
    """
    own = (await connection.execute(select(appeal).where(appeal.c.id == appeal_id))).one()
    await _alone_with(connection, {number, own.caller_number or number})
    known = await connection.execute(select(promise.c.id).where(promise.c.id == promise_id))
    if known.first() is not None:
        return
    before = await _replaced(connection, number, own, promised_at)
    await connection.execute(
        insert(promise).values(
            id=promise_id,
            kind=Kind.CALLBACK.value,
            appeal_id=appeal_id,
            number=number,
            language=language,
            urgent=urgent or any(earlier.urgent for earlier in before),
            arrived_at=min([arrived_at, *(earlier.arrived_at for earlier in before)]),
            promised_at=promised_at,
            state=State.OPEN.value,
            due_at=max([promised_at, *(each.due_at for each in before if each.is_called_now)]),
        )
    )


async def promise_message(
    connection: AsyncConnection,
    *,
    recording_id: UUID,
    appeal_id: UUID,
    language: str,
    urgent: bool,
    arrived_at: datetime,
    promised_at: datetime,
) -> None:
    """Promise that a consultant hears this recording. Repeatable."""
    await connection.execute(
        insert(promise)
        .values(
            id=recording_id,
            kind=Kind.MESSAGE.value,
            appeal_id=appeal_id,
            language=language,
            urgent=urgent,
            arrived_at=arrived_at,
            promised_at=promised_at,
            state=State.OPEN.value,
            due_at=promised_at,
        )
        .on_conflict_do_nothing()
    )


async def _alone_with(connection: AsyncConnection, numbers: Set[str]) -> None:
    """Two calls that promise for one number at once would else fail at the unique index."""
    for each in sorted(numbers):
        await connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(each))))


async def _replaced(
    connection: AsyncConnection, number: str, own: Row[Any], at: datetime
) -> Sequence[Any]:
    """What a promise made in the call of its `own` appeal replaces; the earlier appeals say so.

    Who asks for another number says with that that the first one is not safe to call.
    """
    same_caller = [appeal.c.id == own.id]
    if own.caller_number is not None:
        same_caller.append(appeal.c.caller_number == own.caller_number)
    of_caller = select(appeal.c.id).where(or_(*same_caller))
    result = await connection.execute(
        update(promise)
        .where(
            promise.c.state == State.OPEN.value,
            promise.c.kind == Kind.CALLBACK.value,
            or_(promise.c.number == number, promise.c.appeal_id.in_(of_caller)),
        )
        .values(state=State.REPLACED.value, ended_at=at)
        .returning(
            promise.c.appeal_id,
            promise.c.arrived_at,
            promise.c.urgent,
            promise.c.due_at,
            and_(promise.c.number == number, outgoing.under_way(promise.c.number)).label(
                "is_called_now"
            ),
        )
    )
    replaced = result.all()
    for earlier in replaced:
        await appeals.append_event(
            connection,
            appeal_id=earlier.appeal_id,
            at=at,
            kind=REPLACED,
            detail={"appeal": own.number},
        )
    return replaced


async def serve_all(transaction: Transaction, talked: Mapping[UUID, datetime]) -> None:
    """Whoever talks with a consultant in the call of an appeal is owed no callback any more.

    That is the number from which the call came, and the one that was agreed on in the call.
    `talked` says since when, by appeal.
    """
    if talked:
        rows = [{"appeal_id": appeal_id, "at": at} for appeal_id, at in talked.items()]
        await transaction.run(_SERVE, rows=as_json(rows))


async def serve(connection: AsyncConnection, *, appeal_id: UUID, at: datetime) -> None:
    """As `serve_all`, of one."""
    await serve_all(within(connection), {appeal_id: at})


async def claim(
    connection: AsyncConnection, controller: str, now: datetime, limit: int, *, kind: Kind
) -> list[Claimed]:
    """Take care of promises whose attempt is due and of which no living controller takes care.

    The urgent first, then the longest waiting. The call in which a promise was made must be over,
    and so must one to the same number about another appeal: it may be for the promise that this
    one replaced. A message must be in the store.
    """
    had_by = (
        select(consultant.c.extension)
        .where(consultant.c.id == appeal.c.consultant_id)
        .correlate(appeal)
        .scalar_subquery()
    )
    rows = await connection.execute(
        update(promise)
        .where(promise.c.id.in_(_due(kind, now, limit)), appeal.c.id == promise.c.appeal_id)
        .values(claimed_by=controller, claimed_until=now + CLAIM)
        .returning(
            promise.c.id,
            promise.c.kind,
            promise.c.appeal_id,
            promise.c.number,
            promise.c.language,
            promise.c.urgent,
            promise.c.arrived_at,
            promise.c.attempts,
            appeal.c.urgent,
            appeal.c.number,
            had_by,
        )
    )
    claimed = [Claimed(row[0], Kind(row[1]), *row[2:]) for row in rows]
    return sorted(claimed, key=lambda each: each.arrived_at)


def _due(kind: Kind, now: datetime, limit: int) -> Select[Any]:
    """Ids of promises that may be claimed now; others leave them alone meanwhile."""
    stored = exists().where(recording.c.id == promise.c.id, recording.c.state == "stored")
    return (
        select(promise.c.id)
        .join(appeal, appeal.c.id == promise.c.appeal_id)
        .where(
            promise.c.state == State.OPEN.value,
            promise.c.kind == kind.value,
            or_(promise.c.kind == Kind.CALLBACK.value, stored),
            promise.c.due_at <= now,
            or_(promise.c.claimed_until.is_(None), promise.c.claimed_until < now),
            appeal.c.outcome.is_not(None),
            ~outgoing.under_way(promise.c.number, not_about=promise.c.appeal_id),
        )
        .order_by(promise.c.urgent.desc(), promise.c.arrived_at)
        .limit(limit)
        .with_for_update(skip_locked=True, of=promise)
    )


async def overdue(connection: AsyncConnection, now: datetime) -> dict[UUID, tuple[Kind, str]]:
    """Open promises whose attempt has been due for too long: of what kind, in which language."""
    rows = await connection.execute(
        select(promise.c.id, promise.c.kind, promise.c.language).where(
            promise.c.state == State.OPEN.value, promise.c.due_at < now - OVERDUE
        )
    )
    return {row.id: (Kind(row.kind), row.language) for row in rows}


async def renew(
    connection: AsyncConnection, controller: str, now: datetime, promise_ids: Iterable[UUID]
) -> set[UUID]:
    """Go on taking care of these; returns those that are this controller's and still open."""
    rows = await connection.execute(
        update(promise)
        .where(promise.c.id.in_(list(promise_ids)), _held_by(controller))
        .values(claimed_until=now + CLAIM)
        .returning(promise.c.id)
    )
    return set(rows.scalars())


async def release(
    connection: AsyncConnection, controller: str, promise_ids: Iterable[UUID] | None = None
) -> None:
    """Let others take care of these; None: of all that this controller ever claimed."""
    whose = _held_by(controller)
    if promise_ids is not None:
        whose &= promise.c.id.in_(list(promise_ids))
    await connection.execute(update(promise).where(whose).values(claimed_until=None))


async def attempt(
    connection: AsyncConnection,
    controller: str,
    promise_id: UUID,
    now: datetime,
    pause: timedelta,
) -> bool:
    """Begin an attempt: counted before anybody is called, so that a death in it is one attempt.

    The next attempt is due after `pause`. False when the promise is not this controller's (any
    more): then nobody may be called.
    """
    result = await connection.execute(
        update(promise)
        .where(promise.c.id == promise_id, _held_by(controller), promise.c.claimed_until > now)
        .values(attempts=promise.c.attempts + 1, due_at=now + pause, claimed_until=now + CLAIM)
    )
    return result.rowcount == 1


async def end(
    connection: AsyncConnection,
    promise_id: UUID,
    state: State,
    at: datetime,
    by: str | None = None,
) -> bool:
    """End an open promise; False when it had ended before."""
    result = await connection.execute(
        update(promise)
        .where(promise.c.id == promise_id, promise.c.state == State.OPEN.value)
        .values(state=state.value, ended_at=at, ended_by=by)
    )
    return result.rowcount == 1


async def end_by_attempt(
    connection: AsyncConnection, promise_id: UUID, state: State, at: datetime
) -> None:
    """End an open promise by what came of an attempt. Repeatable.

    Should the promise have been replaced during the attempt, who talked or declined the call did
    so for the one that replaced it: the number is not called once more.
    """
    if await end(connection, promise_id, state, at) or state is State.UNREACHED:
        return
    number = (
        select(promise.c.number)
        .where(promise.c.id == promise_id, promise.c.state == State.REPLACED.value)
        .scalar_subquery()
    )
    await connection.execute(
        update(promise)
        .where(
            promise.c.number == number,
            promise.c.state == State.OPEN.value,
            promise.c.promised_at <= at,
        )
        .values(state=state.value, ended_at=at)
    )


def _held_by(controller: str) -> ColumnElement[bool]:
    return (promise.c.claimed_by == controller) & (promise.c.state == State.OPEN.value)
