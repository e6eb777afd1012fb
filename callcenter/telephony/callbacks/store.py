"""Store of callbacks and voicemail: requests, claims of controllers, attempts, ends.

Times are aware. The table is called `promise`.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Row,
    Select,
    Text,
    Uuid,
    and_,
    bindparam,
    column,
    exists,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls import outbound_calls
from callcenter.appeals.calls import store as appeals
from callcenter.appeals.calls.tables import appeal
from callcenter.appeals.contact import service as contact
from callcenter.platform.identity.actor import Actor
from callcenter.platform.storage.engine import Transaction, as_json, within
from callcenter.recordings.tables import recording
from callcenter.telephony.callbacks.rules import OVERDUE_AFTER, CallbackKind, CallbackState
from callcenter.telephony.callbacks.tables import promise

#: A claim that is not renewed ends after this time, and another controller may claim.
CLAIM_TIMEOUT = timedelta(seconds=10)
CHANNEL = "open_callbacks"  #: of PostgreSQL's NOTIFY, by a trigger: one is open, or open again
# Events of an appeal, see telephony.calls.outcomes.
REPLACED, MESSAGE_DONE = "callback_replaced", "message_done"


@dataclass(frozen=True, slots=True)
class ClaimedCallback:
    """A callback claimed by a controller. `number` is personal data."""

    id: UUID
    appeal_id: UUID
    number: str
    language: str
    urgent: bool
    arrived_at: datetime
    attempts: int
    urgencies: Sequence[str]


@dataclass(frozen=True, slots=True)
class Message:
    """Open voicemail of an appeal; its id is that of its recording."""

    id: UUID
    language: str
    urgent: bool
    left_at: datetime
    is_stored: bool  #: else it is being sealed, or its recording failed
    duration_ms: int | None


@dataclass(frozen=True, slots=True)
class CallbackRequest:
    """A requested callback. `number` is personal data: never log it.

    `arrived_at` is its place in the queue.
    """

    promise_id: UUID
    appeal_id: UUID
    number: str
    language: str
    urgent: bool
    arrived_at: datetime
    promised_at: datetime


async def promise_callback(connection: AsyncConnection, request: CallbackRequest) -> None:
    """Save the request of a callback. Repeatable.

    An open request for the same number, or of the same caller, is replaced by this one, which takes
    over its place in the queue and its urgency; the earlier appeal gets an event. When the number
    is being called for the earlier one now, it is called again only after the pause of that
    attempt. To be called at this number is the caller's latest word about it.
    """
    same_appeal = select(appeal).where(appeal.c.id == request.appeal_id)
    own = (await connection.execute(same_appeal)).one()
    await _lock_numbers(connection, {request.number, own.caller_number or request.number})
    saved = await connection.execute(select(promise.c.id).where(promise.c.id == request.promise_id))
    if saved.first() is not None:
        return
    before = await _replace_open(connection, request.number, own, request.promised_at)
    called_now = [earlier.due_at for earlier in before if earlier.is_called_now]
    await connection.execute(
        insert(promise).values(
            id=request.promise_id,
            kind=CallbackKind.CALLBACK.value,
            appeal_id=request.appeal_id,
            number=request.number,
            language=request.language,
            urgent=request.urgent or any(earlier.urgent for earlier in before),
            arrived_at=min([request.arrived_at, *(earlier.arrived_at for earlier in before)]),
            promised_at=request.promised_at,
            state=CallbackState.OPEN.value,
            due_at=max([request.promised_at, *called_now]),
        )
    )
    await contact.record_callback(
        connection, request.appeal_id, request.number, request.promised_at
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
    """Save a voicemail, which a consultant is to hear. Repeatable."""
    await connection.execute(
        insert(promise)
        .values(
            id=recording_id,
            kind=CallbackKind.MESSAGE.value,
            appeal_id=appeal_id,
            language=language,
            urgent=urgent,
            arrived_at=arrived_at,
            promised_at=promised_at,
            state=CallbackState.OPEN.value,
            due_at=promised_at,
        )
        .on_conflict_do_nothing()
    )


async def _lock_numbers(connection: AsyncConnection, numbers: Set[str]) -> None:
    """Serialise requests for one number, which would otherwise violate the unique index."""
    for each in sorted(numbers):
        await connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(each))))


async def _replace_open(
    connection: AsyncConnection, number: str, own: Row[Any], at: datetime
) -> Sequence[Any]:
    """Replace the open callbacks of the caller of the `own` appeal, or to the number.

    Earlier appeals get an event. A caller who requests another number thereby says that the first
    one is not safe to call.
    """
    same_caller = [appeal.c.id == own.id]
    if own.caller_number is not None:
        same_caller.append(appeal.c.caller_number == own.caller_number)
    of_caller = select(appeal.c.id).where(or_(*same_caller))
    result = await connection.execute(
        update(promise)
        .where(
            promise.c.state == CallbackState.OPEN.value,
            promise.c.kind == CallbackKind.CALLBACK.value,
            or_(promise.c.number == number, promise.c.appeal_id.in_(of_caller)),
        )
        .values(state=CallbackState.REPLACED.value, ended_at=at)
        .returning(
            promise.c.appeal_id,
            promise.c.arrived_at,
            promise.c.urgent,
            promise.c.due_at,
            and_(
                promise.c.number == number, outbound_calls.is_number_called(promise.c.number)
            ).label("is_called_now"),
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


def _compile_serve() -> str:
    """Write the statement of `serve_all` once, for psycopg; its parameter is `rows`."""

    def constant(state: CallbackState | CallbackKind) -> ColumnElement[str]:
        # No parameter: a plan made for any state could not use the index of this one.
        return literal_column(f"'{state.value}'", Text)

    new = (
        func.jsonb_to_recordset(bindparam("rows", type_=JSONB))
        .table_valued(column("appeal_id", Uuid), column("at", DateTime(timezone=True)))
        .render_derived("new", with_types=True)
    )
    statement = (
        update(promise)
        .where(
            appeal.c.id == new.c.appeal_id,
            promise.c.state == constant(CallbackState.OPEN),
            promise.c.kind == constant(CallbackKind.CALLBACK),
            or_(promise.c.number == appeal.c.caller_number, promise.c.appeal_id == appeal.c.id),
        )
        .values(state=constant(CallbackState.SERVED), ended_at=new.c.at)
    )
    return str(statement.compile(dialect=PGDialect_psycopg()))  # type: ignore[no-untyped-call]


_SERVE = _compile_serve()


async def serve_all(transaction: Transaction, connected_at: Mapping[UUID, datetime]) -> None:
    """End the open callbacks of callers who talk with a consultant in the call of an appeal.

    These are callbacks to the number of the call, and to the one requested in the call.
    `connected_at` is the start of the conversation, by appeal.
    """
    if connected_at:
        rows = [{"appeal_id": appeal_id, "at": at} for appeal_id, at in connected_at.items()]
        await transaction.run(_SERVE, rows=as_json(rows))


async def serve(connection: AsyncConnection, *, appeal_id: UUID, at: datetime) -> None:
    """Do for one appeal what `serve_all` does for several."""
    await serve_all(within(connection), {appeal_id: at})


async def claim(
    connection: AsyncConnection, controller: str, now: datetime, limit: int
) -> list[ClaimedCallback]:
    """Claim callbacks that are due and not claimed by a live controller.

    The urgent first, then the longest waiting. The call of the request must be over, and so must
    one to the same number about another appeal: it may be for the request that this one replaced.
    """
    rows = await connection.execute(
        update(promise)
        .where(promise.c.id.in_(_due(now, limit)), appeal.c.id == promise.c.appeal_id)
        .values(claimed_by=controller, claimed_until=now + CLAIM_TIMEOUT)
        .returning(
            promise.c.id,
            promise.c.appeal_id,
            promise.c.number,
            promise.c.language,
            promise.c.urgent,
            promise.c.arrived_at,
            promise.c.attempts,
            appeal.c.urgent,
        )
    )
    return sorted((ClaimedCallback(*row) for row in rows), key=lambda each: each.arrived_at)


def _due(now: datetime, limit: int) -> Select[Any]:
    """Ids of those that may be claimed now, locked until the end of the transaction."""
    return (
        select(promise.c.id)
        .join(appeal, appeal.c.id == promise.c.appeal_id)
        .where(
            promise.c.state == CallbackState.OPEN.value,
            promise.c.kind == CallbackKind.CALLBACK.value,
            promise.c.due_at <= now,
            or_(promise.c.claimed_until.is_(None), promise.c.claimed_until < now),
            appeal.c.outcome.is_not(None),
            ~outbound_calls.is_number_called(promise.c.number, not_about=promise.c.appeal_id),
        )
        .order_by(promise.c.urgent.desc(), promise.c.arrived_at)
        .limit(limit)
        .with_for_update(skip_locked=True, of=promise)
    )


async def find_open_message(
    connection: AsyncConnection, appeal_id: UUID, message_id: UUID
) -> Message | None:
    """The open voicemail of the appeal with this id, locked."""
    query = _open_messages(appeal_id).where(promise.c.id == message_id)
    row = (await connection.execute(query.with_for_update(of=promise))).one_or_none()
    return None if row is None else Message(*row)


async def list_open_messages(connection: AsyncConnection, appeal_id: UUID) -> list[Message]:
    """The open voicemails of the appeal, the earliest first."""
    rows = await connection.execute(_open_messages(appeal_id).order_by(promise.c.promised_at))
    return [Message(*row) for row in rows]


async def list_messages_of_caller(
    connection: AsyncConnection, number: str
) -> Sequence[tuple[str, datetime]]:
    """Open voicemail of whoever calls from a number: the appeals, and when each was left."""
    query = (
        select(appeal.c.number, promise.c.promised_at)
        .join(promise, promise.c.appeal_id == appeal.c.id)
        .where(
            appeal.c.caller_number == number,
            promise.c.kind == CallbackKind.MESSAGE.value,
            promise.c.state == CallbackState.OPEN.value,
        )
        .order_by(promise.c.promised_at)
    )
    return [(row.number, row.promised_at) for row in await connection.execute(query)]


def _open_messages(appeal_id: UUID) -> Select[Any]:
    """Columns in the order of Message."""
    return (
        select(
            promise.c.id,
            promise.c.language,
            promise.c.urgent,
            promise.c.promised_at,
            recording.c.state == "stored",
            recording.c.duration_ms,
        )
        .join_from(promise, recording, recording.c.id == promise.c.id)
        .where(
            promise.c.appeal_id == appeal_id,
            promise.c.kind == CallbackKind.MESSAGE.value,
            promise.c.state == CallbackState.OPEN.value,
        )
    )


async def messages_heard_by(
    connection: AsyncConnection, actor: Actor, recording_ids: Sequence[UUID]
) -> frozenset[UUID]:
    """Recordings of voicemail: of the open, and of those that this actor marked as done."""
    rows = await connection.execute(
        select(promise.c.id).where(
            promise.c.id.in_(recording_ids),
            promise.c.kind == CallbackKind.MESSAGE.value,
            or_(promise.c.state == CallbackState.OPEN.value, promise.c.ended_by == actor.who),
        )
    )
    return frozenset(rows.scalars())


async def any_open(connection: AsyncConnection) -> bool:
    """Whether there is an open callback or voicemail, due or not."""
    is_open = exists().where(promise.c.state == literal_column("'open'"))
    return bool(await connection.scalar(select(is_open)))


@dataclass(frozen=True, slots=True)
class LateCallback:
    """A callback or voicemail that supervisors are to be alerted about."""

    id: UUID
    kind: CallbackKind
    language: str
    urgent: bool


async def list_late(connection: AsyncConnection, now: datetime) -> list[LateCallback]:
    """Open callbacks and voicemail due for too long, and urgent voicemail at once.

    Nobody is rung for voicemail: an urgent one must not wait until somebody looks at the list.
    """
    is_urgent_message = promise.c.urgent & (promise.c.kind == CallbackKind.MESSAGE.value)
    rows = await connection.execute(
        select(promise.c.id, promise.c.kind, promise.c.language, promise.c.urgent).where(
            promise.c.state == CallbackState.OPEN.value,
            or_(promise.c.due_at < now - OVERDUE_AFTER, is_urgent_message),
        )
    )
    return [LateCallback(row.id, CallbackKind(row.kind), row.language, row.urgent) for row in rows]


async def renew(
    connection: AsyncConnection, controller: str, now: datetime, promise_ids: Iterable[UUID]
) -> set[UUID]:
    """Renew claims; returns those that are this controller's and still open."""
    rows = await connection.execute(
        update(promise)
        .where(promise.c.id.in_(list(promise_ids)), _claimed_by(controller))
        .values(claimed_until=now + CLAIM_TIMEOUT)
        .returning(promise.c.id)
    )
    return set(rows.scalars())


async def release(
    connection: AsyncConnection, controller: str, promise_ids: Iterable[UUID] | None = None
) -> None:
    """Release claims; None: all claims of this controller."""
    whose = _claimed_by(controller)
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
    """Begin an attempt: counted before the call, so that a crash in it counts as one.

    The next attempt is due after `pause`. False when this controller has no claim (any more): then
    no call may be made.
    """
    result = await connection.execute(
        update(promise)
        .where(promise.c.id == promise_id, _claimed_by(controller), promise.c.claimed_until > now)
        .values(
            attempts=promise.c.attempts + 1, due_at=now + pause, claimed_until=now + CLAIM_TIMEOUT
        )
    )
    return result.rowcount == 1


async def postpone(
    connection: AsyncConnection, controller: str, promise_id: UUID, due_at: datetime
) -> None:
    """Put the next attempt off, without counting one; the claim is released."""
    await connection.execute(
        update(promise)
        .where(promise.c.id == promise_id, _claimed_by(controller))
        .values(due_at=due_at, claimed_until=None)
    )


async def end(
    connection: AsyncConnection,
    promise_id: UUID,
    state: CallbackState,
    at: datetime,
    by: str | None = None,
) -> bool:
    """End an open callback or voicemail; False when it had ended before."""
    result = await connection.execute(
        update(promise)
        .where(promise.c.id == promise_id, promise.c.state == CallbackState.OPEN.value)
        .values(state=state.value, ended_at=at, ended_by=by)
    )
    return result.rowcount == 1


async def end_by_attempt(
    connection: AsyncConnection, promise_id: UUID, state: CallbackState, at: datetime
) -> None:
    """End an open callback or voicemail by the result of an attempt. Repeatable.

    When it was replaced during the attempt, the result counts for its replacement: the number is
    not called once more.
    """
    if await end(connection, promise_id, state, at) or state is CallbackState.UNREACHED:
        return
    number = (
        select(promise.c.number)
        .where(promise.c.id == promise_id, promise.c.state == CallbackState.REPLACED.value)
        .scalar_subquery()
    )
    await connection.execute(
        update(promise)
        .where(
            promise.c.number == number,
            promise.c.state == CallbackState.OPEN.value,
            promise.c.promised_at <= at,
        )
        .values(state=state.value, ended_at=at)
    )


def _claimed_by(controller: str) -> ColumnElement[bool]:
    return (promise.c.claimed_by == controller) & (promise.c.state == CallbackState.OPEN.value)
