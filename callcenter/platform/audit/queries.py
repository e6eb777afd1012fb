"""Queries of the audit log for people: entries by person, action, subject and time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, func, select, text, true, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.platform.audit.rules.hash_chain import Entry
from callcenter.platform.audit.tables import IS_OF_ALERTS, audit_entry


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Conditions on entries, all of which hold; an empty one holds for each.

    `actions` are any of these; `subjects` too. Times are from `since` on, and before `until`.
    """

    who: str = ""
    actions: Sequence[str] = ()
    subjects: Sequence[str] = ()
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """The conditions in SQL."""
        columns = audit_entry.c
        conditions: list[ColumnElement[bool]] = []
        if self.who:
            conditions.append(columns.who == self.who)
        if self.actions:
            conditions.append(columns.action.in_(self.actions))
        if self.subjects:
            conditions.append(columns.subject.in_(self.subjects))
        if self.since is not None:
            conditions.append(columns.at >= self.since)
        if self.until is not None:
            conditions.append(columns.at < self.until)
        return conditions


class EntryOrder(StrEnum):
    """The order of entries; those by person or action then have the oldest first."""

    NEWEST = "newest"
    OLDEST = "oldest"
    WHO = "who"
    ACTION = "action"


async def find_entries(
    connection: AsyncConnection,
    chosen: AuditFilter,
    *,
    order: EntryOrder = EntryOrder.NEWEST,
    after: int | None = None,
    limit: int,
) -> list[Entry]:
    """Entries in this order; `after` is the last one read.

    Entries are numbered in the order of their times, unless the clock was put back.
    """
    columns = audit_entry.c
    by = [columns[order.value]] if order in (EntryOrder.WHO, EntryOrder.ACTION) else []
    query = _select_entries().where(*chosen.conditions())
    if after is not None:
        query = query.where(await _is_beyond(connection, by, after, order))
    direction = [columns.id.desc()] if order is EntryOrder.NEWEST else [*by, columns.id]
    found = await connection.execute(query.order_by(*direction).limit(limit))
    return [Entry(*row) for row in found]


async def list_of_alerts(
    connection: AsyncConnection, since: datetime, until: datetime
) -> list[Entry]:
    """The entries of that time with an alert that they raise, or alerts that they cover."""
    query = _select_entries().where(text(IS_OF_ALERTS), audit_entry.c.at.between(since, until))
    return [Entry(*row) for row in await connection.execute(query)]


def _select_entries() -> Select[Any]:
    columns = audit_entry.c
    return select(
        columns.id,
        columns.at,
        columns.who,
        columns.action,
        columns.subject,
        columns.detail,
        columns.from_address,
    )


async def _is_beyond(
    connection: AsyncConnection, by: Sequence[Column[str]], after: int, order: EntryOrder
) -> ColumnElement[bool]:
    """Condition: the entry follows this one in the order; one that is not there begins it."""
    number = audit_entry.c.id
    if order is EntryOrder.NEWEST:
        return number < after
    row = await connection.execute(select(*by, number).where(number == after))
    place = row.one_or_none()
    return true() if place is None else tuple_(*by, number) > tuple_(*place)


async def count_entries(connection: AsyncConnection, chosen: AuditFilter, limit: int) -> int:
    """How many entries there are, counted up to the limit."""
    some = select(audit_entry.c.id).where(*chosen.conditions()).limit(limit).subquery()
    return (await connection.execute(select(func.count()).select_from(some))).scalar_one()
