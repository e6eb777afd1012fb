"""Reads and exports the audit log; both are entries in it."""

import csv
import io
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.search.export import escape_formula
from callcenter.audit_log.actions import AuditLogAction
from callcenter.audit_log.permissions import AuditLogPermission
from callcenter.platform.audit.queries import AuditFilter, EntryOrder, count_entries, find_entries
from callcenter.platform.audit.rules.hash_chain import Detail, Entry
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.identity.actor import Actor, audit_action, audit_action_once
from callcenter.platform.storage.engine import unit_of_work

SUBJECT = "audit_log"
PAGE = 50  # entries
BATCH = 1000  # entries that are read at once for a file
READING_INTERVAL = timedelta(minutes=10)  # in which the pages of one search are one reading


class TooManyEntries(InvalidRequest):
    """More entries fit than a file may hold: choose a person, an action or fewer days."""


async def read_log(
    engine: AsyncEngine, actor: Actor, chosen: AuditFilter, order: EntryOrder, after: int | None
) -> list[Entry]:
    """A page of entries, and one more if there are; audited once for each search.

    Raises Forbidden.
    """
    actor.require(AuditLogPermission.READ_AUDIT_LOG)
    async with unit_of_work(engine) as connection:
        entries = await find_entries(connection, chosen, order=order, after=after, limit=PAGE + 1)
        await audit_action_once(
            connection,
            actor,
            AuditLogAction.LOG_READ,
            SUBJECT,
            _described(chosen),
            within=READING_INTERVAL,
        )
    return entries


async def export_log(
    engine: AsyncEngine,
    actor: Actor,
    chosen: AuditFilter,
    limit: int,
    row: Callable[[Entry], Sequence[str]],
    heading: Sequence[str],
) -> AsyncIterator[bytes]:
    """The entries as CSV (RFC 4180), the oldest first; audited before the first byte.

    `row` writes an entry below `heading`. Raises Forbidden, and TooManyEntries beyond the limit.
    """
    actor.require(AuditLogPermission.EXPORT_AUDIT_LOG)
    async with unit_of_work(engine) as connection:
        count = await count_entries(connection, chosen, limit + 1)
        if count > limit:
            raise TooManyEntries
        await audit_action(
            connection,
            actor,
            AuditLogAction.LOG_EXPORTED,
            SUBJECT,
            {**_described(chosen), "entries": count},
        )
    return _pieces(engine, chosen, count, row, heading)


async def _pieces(
    engine: AsyncEngine,
    chosen: AuditFilter,
    count: int,
    row: Callable[[Entry], Sequence[str]],
    heading: Sequence[str],
) -> AsyncIterator[bytes]:
    yield "\ufeff".encode()  # by which spreadsheets recognise UTF-8
    rows, after = [heading], None
    while True:
        text = io.StringIO(newline="")
        csv.writer(text).writerows([[escape_formula(cell) for cell in each] for each in rows])
        yield text.getvalue().encode()
        if not count:
            return
        async with unit_of_work(engine) as connection:
            entries = await find_entries(
                connection,
                chosen,
                order=EntryOrder.OLDEST,
                after=after,
                limit=min(BATCH, count),
            )
        if not entries:
            return
        rows, after, count = [row(each) for each in entries], entries[-1].id, count - len(entries)


def _described(chosen: AuditFilter) -> Detail:
    """The conditions, as an entry of the log has them."""
    return {
        name: " ".join(value) if isinstance(value, list | tuple) else str(value)
        for name, value in asdict(chosen).items()
        if value
    }
