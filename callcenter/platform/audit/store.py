"""The audit log in PostgreSQL: appending entries, and reading them for verification."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.platform.audit.actions import Action
from callcenter.platform.audit.rules.hash_chain import GENESIS, Detail, Entry, next_hash
from callcenter.platform.audit.rules.verification import Row
from callcenter.platform.audit.tables import audit_entry

#: The advisory lock that puts writers in a row: the word "audit" in ASCII.
LOCK = 0x6175646974

#: Rows that are read at once, to be checked.
BATCH = 5000


class ChainTip(NamedTuple):
    """The newest entry: its number and its hash, which covers all entries up to it."""

    id: int
    hash: bytes


async def last(connection: AsyncConnection) -> ChainTip | None:
    """The newest entry, or None when there is none. Entries are committed in their order."""
    found = await connection.execute(
        select(audit_entry.c.id, audit_entry.c.hash).order_by(audit_entry.c.id.desc()).limit(1)
    )
    row = found.one_or_none()
    return ChainTip(row.id, row.hash) if row else None


class DoneAction(NamedTuple):
    """An entry of an action: when it was done, to what, and its detail."""

    at: datetime
    subject: str
    detail: Detail


async def list_newest(connection: AsyncConnection, action: Action, limit: int) -> list[DoneAction]:
    """The newest entries of this action, the newest first."""
    query = (
        select(audit_entry.c.at, audit_entry.c.subject, audit_entry.c.detail)
        .where(audit_entry.c.action == action.value)
        .order_by(audit_entry.c.id.desc())
        .limit(limit)
    )
    return [DoneAction(*row) for row in await connection.execute(query)]


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


async def has_entry(connection: AsyncConnection, *, who: str, action: Action, subject: str) -> bool:
    """Whether this person ever did this to the subject."""
    query = select(audit_entry.c.id).where(
        audit_entry.c.subject == subject,
        audit_entry.c.action == action.value,
        audit_entry.c.who == who,
    )
    return (await connection.execute(query.limit(1))).first() is not None


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


async def is_guarded(connection: AsyncConnection) -> bool:
    """Whether the triggers that refuse changes and forgeries are as the migrations made them.

    And stand alone: a rule could drop new entries without an error, a policy hide them.
    """
    found = (await connection.execute(_TRIGGERS)).all()
    if {tuple(row) for row in found} != _GUARDS:
        return False
    return bool((await connection.execute(_IS_PLAIN)).scalar_one())


async def read_log(connection: AsyncConnection) -> AsyncIterator[list[Row]]:
    """The whole log in order, as of the beginning of the call, in batches of rows.

    As text: a tampered row may hold what would end the reading, such as the time `infinity`.
    Columns may even be NULL, if the table was changed.
    """
    await connection.execute(text("SET LOCAL datestyle = 'ISO'"))
    rows = await connection.stream(_STORED)
    async for batch in rows.partitions(BATCH):  # `yield_per` does not count for text()
        yield [Row._make(row) for row in batch]


#: Bits of pg_trigger.tgtype: before each statement of UPDATE, DELETE or TRUNCATE; before each row
#: of INSERT.
_BEFORE_ANY_CHANGE = 2 | 8 | 16 | 32
_BEFORE_EACH_ROW = 1 | 2 | 4

#: The bodies of their functions, blanks aside.
_REFUSES = "BEGIN RAISE EXCEPTION 'the audit log is append-only: % refused', TG_OP; END"
#: docs/decisions/0106: a process speaks for itself, and of what it does.
_REFUSES_FORGERIES = (
    "BEGIN IF (CASE session_user"
    " WHEN 'callcenter_controller' THEN NEW.who ~ '^system:' AND NEW.action ~ '^controller:'"
    " WHEN 'callcenter_worker' THEN NEW.who ~ '^system:'"
    " AND NEW.action ~ '^(web:|command:recording:adopted$)'"
    " WHEN 'callcenter_web' THEN NEW.action ~ '^web:'"
    " ELSE true END) THEN RETURN NEW; END IF;"
    " RAISE EXCEPTION '% writes no audit entry % of %', session_user, NEW.action, NEW.who"
    " USING ERRCODE = 'insufficient_privilege'; END"
)

# `A`: enabled always, also where `session_replication_role` turns triggers off.
_GUARDS = {
    ("A", _BEFORE_ANY_CHANGE, None, _REFUSES),
    ("A", _BEFORE_EACH_ROW, None, _REFUSES_FORGERIES),
}
_TRIGGERS = text(
    r"""
    SELECT tgenabled::text, tgtype::int, tgqual::text,
        btrim(regexp_replace(prosrc, '\s+', ' ', 'g'))
    FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid
    WHERE tgrelid = 'audit_entry'::regclass AND NOT tgisinternal
    """
)

_IS_PLAIN = text(
    """
    SELECT relkind = 'r' AND NOT relrowsecurity
        AND NOT EXISTS (SELECT FROM pg_rewrite WHERE ev_class = pg_class.oid)
    FROM pg_class WHERE oid = 'audit_entry'::regclass
    """
)

_STORED = text(
    """
    SELECT coalesce(id, 0), at::text, who, action, subject, detail::text, from_address,
        coalesce(hash, '')
    FROM audit_entry ORDER BY id
    """
)
