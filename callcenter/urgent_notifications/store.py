"""Urgent notifications of state bodies in PostgreSQL; what was entered is encrypted."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import (
    ColumnElement,
    Row,
    case,
    exists,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls.outbound_calls import OutboundCallRow
from callcenter.appeals.calls.tables import appeal, outgoing_call
from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.record.store import select_joined
from callcenter.appeals.rules.states import AppealState
from callcenter.appeals.tables import record
from callcenter.platform.core.errors import N_, InvalidRequest, NotFound
from callcenter.platform.identity.actor import Actor
from callcenter.urgent_notifications.rules.states import (
    ATTEMPTS,
    OPEN,
    NotificationFacts,
    NotificationState,
    NotificationStep,
    move_notification,
)
from callcenter.urgent_notifications.tables import (
    urgent_notification,
    urgent_notification_step,
)

#: The actor of what the clock does, and of what comes of joining.
CLOCK = Actor(None, command="urgent_notifications")
STILL_OPEN = N_("A body is notified urgently: first note what came of it, or withdraw it.")
NOT_THERE = "there is no such urgent notification of this appeal"


@dataclass(frozen=True, slots=True)
class UrgentNotification:
    """An urgent notification of a body. `ordered_at`: a call is ordered since then."""

    id: UUID
    appeal_id: UUID
    body: str
    state: NotificationState
    begun_at: datetime
    author: str
    ordered_at: datetime | None
    escalated: int
    taken_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoredNotificationStep:
    """A step that was taken; its facts are empty once they are masked."""

    step: NotificationStep
    at: datetime
    author: str
    called: str | None
    facts: NotificationFacts


@dataclass(frozen=True, slots=True)
class NotificationTimes:
    """Urgent notifications begun in a time, and how soon after the press they went on.

    Without those that were withdrawn before anybody took them. None: none was.
    """

    begun: int
    taken: int
    ended: int
    taken_median: timedelta | None
    taken_p95: timedelta | None
    ended_median: timedelta | None
    ended_p95: timedelta | None


@dataclass(frozen=True, slots=True)
class OpenNotification:
    """A notification that somebody waits for, with the number of its appeal."""

    notification: UrgentNotification
    number: str


_QUERY = select(*(urgent_notification.c[name] for name in UrgentNotification.__slots__))


async def insert_new(
    connection: AsyncConnection, appeal_id: UUID, *, body: str, author: str
) -> UrgentNotification:
    """Insert a notification of a body that begins now."""
    new = UrgentNotification(
        uuid4(),
        appeal_id,
        body,
        NotificationState.CALLING,
        datetime.now(UTC),
        author,
        None,
        0,
        None,
        None,
    )
    values = {name: getattr(new, name) for name in UrgentNotification.__slots__}
    await connection.execute(
        insert(urgent_notification).values(values | {"state": new.state.value})
    )
    await _add(connection, new.id, NotificationStep.BEGUN, author, new.begun_at)
    return new


async def lock_open(
    connection: AsyncConnection, appeal_id: UUID, body: str
) -> UrgentNotification | None:
    """The open notification of a body about a locked appeal, locked too; the newest one."""
    query = (
        _QUERY.where(
            urgent_notification.c.appeal_id == appeal_id,
            urgent_notification.c.body == body,
            urgent_notification.c.ended_at.is_(None),
        )
        .order_by(urgent_notification.c.begun_at.desc())
        .limit(1)
        .with_for_update()
    )
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else _notification(row)


async def lock(connection: AsyncConnection, appeal_id: UUID, identity: UUID) -> UrgentNotification:
    """The notification of this appeal, locked until this transaction ends. Raises NotFound."""
    query = _QUERY.where(
        urgent_notification.c.id == identity, urgent_notification.c.appeal_id == appeal_id
    )
    row = (await connection.execute(query.with_for_update())).one_or_none()
    if row is None:
        raise NotFound(NOT_THERE)
    return _notification(row)


async def lock_wherever(connection: AsyncConnection, identity: UUID) -> UrgentNotification:
    """A notification, locked, though its appeal was joined to another one."""
    query = _QUERY.where(urgent_notification.c.id == identity).with_for_update()
    return _notification((await connection.execute(query)).one())


async def is_joined(connection: AsyncConnection, appeal_id: UUID) -> bool:
    """Whether an appeal goes on in another one."""
    query = select(exists().where(record.c.appeal_id == appeal_id, record.c.joined_to.is_not(None)))
    return (await connection.execute(query)).scalar_one()


async def is_of(connection: AsyncConnection, number: str, appeal_id: UUID) -> bool:
    """Whether this is the number of an appeal, or of one that goes on in it."""
    this = exists().where(appeal.c.number == number, appeal.c.id.in_(select_joined(appeal_id)))
    return (await connection.execute(select(this))).scalar_one()


async def list_open(connection: AsyncConnection, *, alone: bool = False) -> list[OpenNotification]:
    """All that have not ended, the oldest first.

    `alone` locks them, and leaves out those that somebody works on.
    """
    query = (
        _QUERY.add_columns(appeal.c.number)
        .join(appeal, appeal.c.id == urgent_notification.c.appeal_id)
        .where(urgent_notification.c.ended_at.is_(None))
        .order_by(urgent_notification.c.begun_at)
    )
    if alone:
        query = query.with_for_update(of=urgent_notification, skip_locked=True)
    return [
        OpenNotification(_notification(row), row.number) for row in await connection.execute(query)
    ]


async def list_of_appeal(connection: AsyncConnection, appeal_id: UUID) -> list[UrgentNotification]:
    """Notifications of an appeal, the latest first."""
    rows = await connection.execute(
        _QUERY.where(urgent_notification.c.appeal_id == appeal_id).order_by(
            urgent_notification.c.begun_at.desc()
        )
    )
    return [_notification(row) for row in rows]


async def list_steps(
    connection: AsyncConnection, keys: RecordKeys, notifications: Collection[UUID]
) -> list[tuple[UUID, StoredNotificationStep]]:
    """Steps of some notifications, each with its id, in order. Raises DecryptionFailed."""
    rows = await connection.execute(
        select(urgent_notification_step)
        .where(urgent_notification_step.c.notification_id.in_(notifications))
        .order_by(urgent_notification_step.c.at, urgent_notification_step.c.ordinal)
    )
    return [
        (
            row.notification_id,
            StoredNotificationStep(
                NotificationStep(row.step),
                row.at,
                row.author,
                row.called,
                NotificationFacts(**keys.open(row.notification_id, row.sealed)),
            ),
        )
        for row in rows
    ]


async def list_calls(
    connection: AsyncConnection, notification: UrgentNotification, numbers: Collection[str]
) -> list[OutboundCallRow]:
    """Calls about the appeal to these numbers since the notification began, the oldest first.

    Those that were dialled by hand, and those about appeals joined to it, are among them.
    """
    query = (
        select(*(outgoing_call.c[name] for name in OutboundCallRow.__slots__))
        .where(
            outgoing_call.c.appeal_id.in_(select_joined(notification.appeal_id)),
            outgoing_call.c.number.in_(numbers),
            outgoing_call.c.began_at >= notification.begun_at,
        )
        .order_by(outgoing_call.c.began_at)
    )
    return [OutboundCallRow(*row) for row in await connection.execute(query)]


async def list_attempts(
    connection: AsyncConnection, identity: UUID
) -> list[tuple[datetime, NotificationStep]]:
    """The steps of presses, in order: who was called, and that somebody did not take it."""
    query = (
        select(urgent_notification_step.c.at, urgent_notification_step.c.step)
        .where(
            urgent_notification_step.c.notification_id == identity,
            urgent_notification_step.c.step.in_([each.value for each in ATTEMPTS]),
        )
        .order_by(urgent_notification_step.c.ordinal)
    )
    return [(row.at, NotificationStep(row.step)) for row in await connection.execute(query)]


async def list_ordered(connection: AsyncConnection, identity: UUID) -> list[tuple[datetime, str]]:
    """The first numbers of the calls that were ordered, each with its time."""
    query = select(urgent_notification_step.c.at, urgent_notification_step.c.called).where(
        urgent_notification_step.c.notification_id == identity,
        urgent_notification_step.c.called.is_not(None),
    )
    return [(row.at, row.called) for row in await connection.execute(query)]


async def put_order(
    connection: AsyncConnection, identity: UUID, ordered_at: datetime | None
) -> None:
    """Store since when a call of it is ordered; none: that is over."""
    await _change(connection, identity, ordered_at=ordered_at)


def seal_facts(keys: RecordKeys, identity: UUID, facts: NotificationFacts) -> bytes | None:
    """The facts of a step, encrypted; None when there are none."""
    return keys.seal(identity, {name: value for name, value in asdict(facts).items() if value})


async def add_step(
    connection: AsyncConnection,
    notification: UrgentNotification,
    step: NotificationStep,
    after: NotificationState,
    *,
    author: str,
    called: str | None = None,
    sealed: bytes | None = None,
    at: datetime | None = None,
) -> None:
    """Move a locked notification and add the step, of now unless it was `at` another time."""
    now = at or datetime.now(UTC)
    values: dict[str, object] = {"state": after.value}
    if step is NotificationStep.ESCALATED:
        values["escalated"] = urgent_notification.c.escalated + 1
    if after is NotificationState.TAKEN:
        values["taken_at"] = now
    if after not in OPEN:
        values["ended_at"] = now
    await _change(connection, notification.id, **values)
    await _add(connection, notification.id, step, author, now, called, sealed)


async def move_notifications(connection: AsyncConnection, appeal_id: UUID, into: UUID) -> None:
    """Move the notifications of an appeal to the one that it goes on in.

    Of two that call the same body one goes on: that which a body took, else the older.
    """
    await connection.execute(
        update(urgent_notification)
        .where(urgent_notification.c.appeal_id == appeal_id)
        .values(appeal_id=into)
    )
    query = _QUERY.where(
        urgent_notification.c.appeal_id == into, urgent_notification.c.ended_at.is_(None)
    )
    rows = await connection.execute(
        query.order_by(urgent_notification.c.begun_at).with_for_update()
    )
    found = [_notification(row) for row in rows]
    bodies = {each.body for each in found if each.state is NotificationState.TAKEN}
    for each in found:
        if each.state is not NotificationState.CALLING:
            continue
        if each.body in bodies:
            step = NotificationStep.JOINED
            await add_step(
                connection, each, step, move_notification(each.state, step), author=CLOCK.who
            )
        bodies.add(each.body)


async def refuse_without_request(
    connection: AsyncConnection, appeal_id: UUID, stage: AppealState
) -> None:
    """Refuse to close an appeal as no request while one is open. Raises InvalidRequest."""
    is_open = exists().where(
        urgent_notification.c.appeal_id == appeal_id, urgent_notification.c.ended_at.is_(None)
    )
    is_refused = stage is AppealState.NO_REQUEST
    if is_refused and (await connection.execute(select(is_open))).scalar_one():
        raise InvalidRequest(STILL_OPEN)


async def read_times(
    connection: AsyncConnection, since: datetime, until: datetime
) -> NotificationTimes:
    """Read how soon bodies took what was begun from `since` to `until`, and how soon it ended."""
    begun, taken = urgent_notification.c.begun_at, urgent_notification.c.taken_at
    ended = case((taken.is_not(None), urgent_notification.c.ended_at))
    query = select(
        func.count(),
        func.count(taken),
        func.count(ended),
        *(
            func.percentile_disc(literal_column(share)).within_group(at - begun)
            for at in (taken, ended)
            for share in ("0.5", "0.95")
        ),
    ).where(
        begun >= since,
        begun < until,
        or_(taken.is_not(None), urgent_notification.c.ended_at.is_(None)),
    )
    return NotificationTimes(*(await connection.execute(query)).one())


def is_notified(*states: NotificationState) -> ColumnElement[bool]:
    """Condition on an appeal: it has a notification in one of these states."""
    return exists().where(
        urgent_notification.c.appeal_id == appeal.c.id,
        urgent_notification.c.state.in_([each.value for each in states]),
    )


async def _change(connection: AsyncConnection, identity: UUID, **values: object) -> None:
    await connection.execute(
        update(urgent_notification).where(urgent_notification.c.id == identity).values(**values)
    )


async def _add(
    connection: AsyncConnection,
    identity: UUID,
    step: NotificationStep,
    author: str,
    at: datetime,
    called: str | None = None,
    sealed: bytes | None = None,
) -> None:
    taken = select(func.count() + 1).where(urgent_notification_step.c.notification_id == identity)
    await connection.execute(
        insert(urgent_notification_step).values(
            notification_id=identity,
            ordinal=taken.scalar_subquery(),
            step=step.value,
            at=at,
            author=author,
            called=called,
            sealed=sealed,
        )
    )


def _notification(row: Row[Any]) -> UrgentNotification:
    values = {name: row._mapping[name] for name in UrgentNotification.__slots__}
    return UrgentNotification(**values | {"state": NotificationState(row.state)})
