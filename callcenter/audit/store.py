"""Writing the audit log, and reading it as it is, to be checked (`audit.checking`)."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.audit.actions import Action
from callcenter.audit.chain import GENESIS, Detail, Entry, next_hash
from callcenter.audit.checking import Row
from callcenter.audit.tables import audit_entry

#: The advisory lock that puts writers in a row: the word "audit" in ASCII.
LOCK = 0x6175646974

#: Rows that are read at once, to be checked.
BATCH = 5000


class Last(NamedTuple):
    """The newest entry: its number and its hash, which stands for all entries up to it."""

    id: int
    hash: bytes


async def last(connection: AsyncConnection) -> Last | None:
    """The newest entry, or None when there is none. Entries are committed in their order."""
    found = await connection.execute(
        select(audit_entry.c.id, audit_entry.c.hash).order_by(audit_entry.c.id.desc()).limit(1)
    )
    row = found.one_or_none()
    return Last(row.id, row.hash) if row else None


async def record(
    connection: AsyncConnection,
    *,
    who: str,
    action: Action,
    subject: str,
    detail: Detail | None = None,
    from_address: str | None = None,
) -> None:
    """Add one entry to the chain, within the transaction of `connection`.

    Writers wait for each other from here to the end of their transactions: call it last, so that
    nobody waits long. The entry is kept if and only if the transaction is.
    """
    # The lock is a statement of its own: the next one must see what the holder before committed.
    await connection.execute(select(func.pg_advisory_xact_lock(LOCK)))
    before = await last(connection)
    entry = Entry(
        id=before.id + 1 if before else 1,
        at=datetime.now(UTC),
        who=who,
        action=action.value,
        subject=subject,
        detail=detail or {},
        from_address=from_address,
    )
    await connection.execute(
        audit_entry.insert().values(
            id=entry.id,
            at=entry.at,
            who=entry.who,
            action=entry.action,
            subject=entry.subject,
            detail=dict(entry.detail),
            from_address=entry.from_address,
            hash=next_hash(before.hash if before else GENESIS, entry),
        )
    )


async def record_once(
    connection: AsyncConnection,
    *,
    within: timedelta,
    who: str,
    action: Action,
    subject: str,
    detail: Detail | None = None,
    from_address: str | None = None,
) -> None:
    """Like `record`, but nothing is added when the same person did the same within that time
    (the detail too).

    For acts that a browser cuts into many requests. Two requests at the same moment may both
    leave an entry: one too many is better than one too few, and than a lock on each request. What
    is dated in the future, as when the clock was put back, hides nothing.
    """
    now = datetime.now(UTC)
    earlier = await connection.execute(
        select(audit_entry.c.id)
        .where(
            audit_entry.c.subject == subject,
            audit_entry.c.action == action.value,
            audit_entry.c.who == who,
            audit_entry.c.detail == dict(detail or {}),
            audit_entry.c.at > now - within,
            audit_entry.c.at <= now,
        )
        .limit(1)
    )
    if earlier.first() is None:
        await record(
            connection,
            who=who,
            action=action,
            subject=subject,
            detail=detail,
            from_address=from_address,
        )


async def stored(connection: AsyncConnection) -> AsyncIterator[list[Row]]:
    """The whole log in its order, as it stood when this began, some thousand rows at a time.

    As text: whoever tampers with a row can put into it what would end the reading, such as the time
    `infinity`. Columns may even be NULL, if the table was changed.
    """
    await connection.execute(text("SET LOCAL datestyle = 'ISO'"))
    rows = await connection.stream(_STORED)
    async for batch in rows.partitions(BATCH):  # `yield_per` does not count for text()
        yield [Row._make(row) for row in batch]


_STORED = text(
    """
    SELECT coalesce(id, 0), at::text, who, action, subject, detail::text, from_address,
        coalesce(hash, '')
    FROM audit_entry ORDER BY id
    """
)
