"""Four eyes: requests that one person makes with a reason and another person decides.

For tables with an id and the columns of `approval_columns`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, Column, DateTime, Table, Text, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.schema import SchemaItem

from callcenter.platform.core.errors import InvalidRequest, NotFound, SelfApproval
from callcenter.platform.identity.actions import IdentityAction
from callcenter.platform.identity.actor import Actor
from callcenter.platform.identity.refusals import record_refusal
from callcenter.platform.storage.engine import unit_of_work

REASON_LIMIT = 1000  # characters, of a request and of a decision


def check_reason(reason: str) -> str:
    """The reason as stored. Raises InvalidRequest: there is none, or it is too long."""
    reason = reason.strip()
    if not reason or len(reason) > REASON_LIMIT:
        raise InvalidRequest(f"give a reason, of up to {REASON_LIMIT} characters")
    return reason


def approval_columns(end: str, note: str = "") -> list[SchemaItem]:
    """Columns and checks of a table of requests; `end` is its state after `approved`.

    `note` follows that state in the comment of the column.
    """
    states = f"asked, approved, refused or {end}{note}"
    return [
        Column("state", Text, nullable=False, comment=states),
        Column("reason", Text, nullable=False),
        Column("asked_by", Text, nullable=False, comment="user:NAME"),
        Column("asked_at", DateTime(timezone=True), nullable=False),
        Column("decided_by", Text, comment="user:NAME, another one"),
        Column("decided_at", DateTime(timezone=True)),
        Column("decision", Text, comment="the reason of who decided"),
        CheckConstraint(f"state IN ('asked', 'approved', 'refused', '{end}')", name="state"),
        CheckConstraint("(state = 'asked') = (decided_by IS NULL)", name="decided"),
        CheckConstraint("asked_by <> decided_by", name="two_persons"),
    ]


async def add_request(
    connection: AsyncConnection, table: Table, actor: Actor, reason: str, **values: object
) -> UUID:
    """Insert a request of the actor; returns its id.

    Raises InvalidRequest when the same waits already: the transaction cannot go on then.
    """
    identity = uuid4()
    request = {
        "id": identity,
        "state": "asked",
        "reason": reason,
        "asked_by": actor.who,
        "asked_at": datetime.now(UTC),
    }
    try:
        await connection.execute(insert(table).values(**request, **values))
    except IntegrityError as exc:
        raise InvalidRequest("it was asked for already: somebody else must decide") from exc
    return identity


@asynccontextmanager
async def deciding(
    engine: AsyncEngine, table: Table, request_id: UUID, actor: Actor
) -> AsyncIterator[AsyncConnection]:
    """Yield the transaction in which the actor decides a request that waits, and is locked.

    A try of who made the request leaves an audit entry. Raises NotFound when nothing waits under
    this id, SelfApproval.
    """
    async with (
        audited_self_approval(engine, actor, f"{table.name}:{request_id}"),
        unit_of_work(engine) as connection,
    ):
        await _lock_request(connection, table, request_id, actor)
        yield connection


@asynccontextmanager
async def audited_self_approval(
    engine: AsyncEngine, actor: Actor, subject: str
) -> AsyncIterator[None]:
    """Leave an audit entry when the transaction within is refused by SelfApproval."""
    try:
        yield
    except SelfApproval:
        async with unit_of_work(engine) as connection:
            await record_refusal(connection, actor, IdentityAction.SELF_APPROVAL_REFUSED, subject)
        raise


async def _lock_request(
    connection: AsyncConnection, table: Table, request_id: UUID, actor: Actor
) -> None:
    query = select(table.c.asked_by).where(table.c.id == request_id, table.c.state == "asked")
    row = (await connection.execute(query.with_for_update())).one_or_none()
    if row is None:
        raise NotFound("nothing waits for a decision under this id: look at the list again")
    if row.asked_by == actor.who:
        raise SelfApproval


async def save_decision(
    connection: AsyncConnection,
    table: Table,
    request_id: UUID,
    actor: Actor,
    *,
    approve: bool,
    reason: str,
) -> None:
    """Approve or refuse a request, in the transaction of `deciding`."""
    await connection.execute(
        update(table)
        .where(table.c.id == request_id)
        .values(
            state="approved" if approve else "refused",
            decided_by=actor.who,
            decided_at=datetime.now(UTC),
            decision=reason,
        )
    )
