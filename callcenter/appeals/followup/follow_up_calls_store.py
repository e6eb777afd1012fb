"""Follow-up calls in PostgreSQL, and which appeals they are for.

Those of an appeal are also those of what it is a part of.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, any_, case, func, insert, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls import outbound_calls
from callcenter.appeals.calls.outbound_calls import OutboundCallRow
from callcenter.appeals.calls.tables import appeal
from callcenter.appeals.record.store import select_continued
from callcenter.appeals.rules.follow_up_calls import FollowUpResult
from callcenter.appeals.rules.states import AppealKind, AppealState
from callcenter.appeals.tables import follow_up_call, record
from callcenter.platform.identity.tables import web_user

SUICIDE = "mental_suicide"  #: the topic of thoughts of suicide, in the form of the center


@dataclass(frozen=True, slots=True)
class FollowUpCall:
    """A follow-up call; `user` makes it, after `attempts` that reached nobody."""

    id: UUID
    user: str
    booked_at: datetime
    due_at: datetime
    attempts: int
    result: FollowUpResult | None  #: None: it is still to be made


def is_at_risk() -> ColumnElement[bool]:
    """Condition on `appeal`, and `record` beside it: danger, or thoughts of suicide.

    What was no request, and what goes on in another appeal, is not at risk by itself.
    """
    at_risk = or_(
        literal("danger") == any_(appeal.c.urgent),
        record.c.kind == AppealKind.DANGER.value,
        record.c.content["danger"].astext == "yes",
        record.c.content["topics"].has_key(SUICIDE),
    )
    elsewhere = record.c.stage.in_((AppealState.NO_REQUEST.value, AppealState.JOINED.value))
    return func.coalesce(at_risk, False) & ~func.coalesce(elsewhere, False)


async def read(
    connection: AsyncConnection, appeal_id: UUID
) -> tuple[datetime | None, Sequence[FollowUpCall]]:
    """The moment of an appeal at risk, else None, and its calls, the last booked first."""
    booked = follow_up_call.c.appeal_id.in_(select_continued(appeal_id))
    query = (
        select(case((is_at_risk(), appeal.c.received_at)).label("at_risk_since"), follow_up_call)
        .select_from(
            appeal.outerjoin(record, record.c.appeal_id == appeal.c.id).outerjoin(
                follow_up_call, booked
            )
        )
        .where(appeal.c.id == appeal_id)
        .order_by(follow_up_call.c.booked_at.desc())
    )
    rows = (await connection.execute(query)).all()
    return rows[0].at_risk_since, [_call(row) for row in rows if row.id is not None]


async def find_open(
    connection: AsyncConnection, appeal_id: UUID, call_id: UUID, attempts: int
) -> FollowUpCall | None:
    """A call still to be made, after so many attempts; locked until this transaction ends."""
    query = select(follow_up_call).where(
        follow_up_call.c.id == call_id,
        follow_up_call.c.appeal_id.in_(select_continued(appeal_id)),
        follow_up_call.c.result.is_(None),
        follow_up_call.c.attempts == attempts,
    )
    row = (await connection.execute(query.with_for_update())).one_or_none()
    return None if row is None else _call(row)


async def list_made(
    connection: AsyncConnection, appeal_id: UUID, since: datetime, numbers: Collection[str]
) -> Sequence[OutboundCallRow]:
    """Calls to these numbers about an appeal begun since then, the newest first."""
    made = await outbound_calls.list_since(connection, select_continued(appeal_id), since)
    return [each for each in made if each.number in numbers]


async def find_consultant(connection: AsyncConnection, appeal_id: UUID) -> str | None:
    """User name of the consultant who talked last about an appeal, if still at work here."""
    query = (
        select(web_user.c.name)
        .join(appeal, appeal.c.consultant_id == web_user.c.consultant_id)
        .where(appeal.c.id == appeal_id, web_user.c.active)
    )
    return (await connection.execute(query)).scalar_one_or_none()


async def insert_new(
    connection: AsyncConnection,
    appeal_id: UUID,
    *,
    user: str,
    due_at: datetime,
    author: str,
    result: FollowUpResult | None = None,
) -> UUID:
    """Insert a follow-up call, or with a `result` what came of the offer; returns its id."""
    identity, now = uuid4(), datetime.now(UTC)
    ended = {} if result is None else {"result": result.value, "ended_at": now, "ended_by": author}
    await connection.execute(
        insert(follow_up_call).values(
            id=identity,
            appeal_id=appeal_id,
            user_name=user,
            due_at=due_at,
            booked_by=author,
            booked_at=now,
            **ended,
        )
    )
    return identity


async def put_off(
    connection: AsyncConnection, call_id: UUID, *, attempts: int, due_at: datetime
) -> None:
    """Set the moment of the next attempt after so many that reached nobody."""
    await _update(connection, call_id, attempts=attempts, due_at=due_at)


async def end(
    connection: AsyncConnection,
    call_id: UUID,
    *,
    attempts: int,
    result: FollowUpResult,
    author: str,
) -> None:
    """End a follow-up call with its result."""
    now = datetime.now(UTC)
    ended = {"result": result.value, "ended_at": now, "ended_by": author}
    await _update(connection, call_id, attempts=attempts, **ended)


async def move(connection: AsyncConnection, appeal_id: UUID, into: UUID) -> None:
    """Move the follow-up calls of an appeal to the one that it goes on in."""
    await connection.execute(
        update(follow_up_call).where(follow_up_call.c.appeal_id == appeal_id).values(appeal_id=into)
    )


async def _update(connection: AsyncConnection, call_id: UUID, **values: Any) -> None:
    await connection.execute(
        update(follow_up_call).where(follow_up_call.c.id == call_id).values(values)
    )


def _call(row: Any) -> FollowUpCall:
    result = None if row.result is None else FollowUpResult(row.result)
    return FollowUpCall(row.id, row.user_name, row.booked_at, row.due_at, row.attempts, result)
