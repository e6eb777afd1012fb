"""Audit entries of refusals: the first of an actor are whole, the rest are counted.

So nobody fills the audit log by trying path after path, and none of it is lost in meaning.
"""

from datetime import UTC, datetime, timedelta

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.platform.audit.actions import Action
from callcenter.platform.audit.rules.hash_chain import Detail
from callcenter.platform.identity.actions import IdentityAction
from callcenter.platform.identity.actor import Actor, audit_action
from callcenter.platform.identity.tables import refusal_count

#: Refusals of one person or API client within WINDOW that have entries of their own.
WHOLE = 20
#: Counted from the first refusal on.
WINDOW = timedelta(hours=1)

_COUNTER = Actor(None, command="refusals")


async def record_refusal(
    connection: AsyncConnection,
    actor: Actor,
    action: Action,
    subject: str,
    detail: Detail | None = None,
) -> None:
    """Add the entry of a refusal, or count it when the actor had WHOLE in this hour.

    Call it last, as `audit.store.record`.
    """
    now = datetime.now(UTC)
    ended = await _end_counts(connection, now, actor.who)
    counted = await connection.execute(
        insert(refusal_count)
        .values(who=actor.who, since=now, count=1)
        .on_conflict_do_update(index_elements=["who"], set_={"count": refusal_count.c.count + 1})
        .returning(refusal_count.c.count)
    )
    await _record_counts(connection, ended)
    if counted.scalar_one() <= WHOLE:
        await audit_action(connection, actor, action, subject, detail)


async def record_ended_counts(connection: AsyncConnection, now: datetime) -> None:
    """Add entries of how many refusals had none, for each actor whose hour is over."""
    await _record_counts(connection, await _end_counts(connection, now))


_Count = tuple[str, datetime, int]


async def _end_counts(
    connection: AsyncConnection, now: datetime, who: str | None = None
) -> list[_Count]:
    """Delete the counts whose hour is over, of this actor or of all; returns them."""
    ended = delete(refusal_count).where(refusal_count.c.since < now - WINDOW)
    if who is not None:
        ended = ended.where(refusal_count.c.who == who)
    columns = refusal_count.c
    rows = await connection.execute(ended.returning(columns.who, columns.since, columns.count))
    return [(row[0], row[1], row[2]) for row in rows]


async def _record_counts(connection: AsyncConnection, ended: list[_Count]) -> None:
    for who, since, count in ended:
        if count > WHOLE:
            detail: Detail = {"count": count - WHOLE, "since": since.isoformat(timespec="seconds")}
            await audit_action(connection, _COUNTER, IdentityAction.MORE_REFUSED, who, detail)
