"""Appeals closed as no request: what closing erases, and does again after a restore."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, literal_column, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls import store as appeals
from callcenter.appeals.calls.tables import appeal
from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.extensions import MovesWithAppeal
from callcenter.appeals.record import personal_data, store, transitions_store
from callcenter.appeals.record.store import Record
from callcenter.appeals.rules.fields import Form
from callcenter.appeals.rules.states import AppealKind, AppealState
from callcenter.appeals.tables import record, record_change, record_move
from callcenter.platform.core.errors import Conflict
from callcenter.platform.core.registry import offers

_CLOSED = literal_column(f"'{AppealState.NO_REQUEST.value}'", Text)  # as the index has it
# Else it is a step within the stage.
_IS_CLOSING = (record_move.c.after == _CLOSED, record_move.c.before != _CLOSED)
_IS_REOPENING = (record_move.c.before == _CLOSED, record_move.c.after != _CLOSED)


class ChangedSinceRestore(Conflict):
    """An appeal on which somebody has worked since it was restored: a person decides on it."""


@dataclass(frozen=True, slots=True)
class ClosedAppeal:
    """An appeal that was closed as no request, with all that it takes to repeat it."""

    appeal_id: UUID
    call_id: str | None
    closed_at: datetime
    closed_by: str
    disposition: str | None  #: the newest, if it was closed again since


@dataclass(frozen=True, slots=True)
class ReopenedAppeal:
    """An appeal that was opened again after it, with all that it takes to repeat it."""

    appeal_id: UUID
    call_id: str | None
    reopened_at: datetime
    reopened_by: str
    reason: str


async def erase(connection: AsyncConnection, keys: RecordKeys, form: Form, before: Record) -> None:
    """Erase the content of a record, and all other personal data of its appeal."""
    await store.erase_content(connection, keys, form, before)
    await personal_data.erase(connection, before.appeal_id)


async def list_closed(
    connection: AsyncConnection, since: datetime, until: datetime
) -> list[ClosedAppeal | ReopenedAppeal]:
    """Appeals that were closed as no request, or opened again, from `since` to before `until`."""
    closed = await _list_moves(connection, since, until, record.c.disposition, *_IS_CLOSING)
    reopened = await _list_moves(connection, since, until, record_move.c.reason, *_IS_REOPENING)
    return [*(ClosedAppeal(*row) for row in closed), *(ReopenedAppeal(*row) for row in reopened)]


async def _list_moves(
    connection: AsyncConnection,
    since: datetime,
    until: datetime,
    column: ColumnElement[Any],
    *conditions: ColumnElement[bool],
) -> list[tuple[Any, ...]]:
    query = (
        select(appeal.c.id, appeal.c.call_id, record_move.c.at, record_move.c.author, column)
        .join(record, record.c.appeal_id == record_move.c.appeal_id)
        .join(appeal, appeal.c.id == record_move.c.appeal_id)
        .where(record_move.c.at >= since, record_move.c.at < until, *conditions)
    )
    return [tuple(row) for row in await connection.execute(query)]


async def repeat_closing(
    connection: AsyncConnection,
    keys: RecordKeys,
    form: Form,
    done: ClosedAppeal,
    restored_at: datetime,
) -> UUID | None:
    """Close and erase again what a restore brought back; returns the appeal, None when it is.

    An appeal that was entered again from CEL is found by its call. Raises NotFound when there is
    neither, ChangedSinceRestore when somebody has worked on it since.
    """
    appeal_id = await appeals.find_again(connection, done.appeal_id, done.call_id)
    before = await store.find(connection, keys, appeal_id, alone=True)
    # What was entered after it was opened again stays.
    if before.stage is AppealState.NO_REQUEST or await _has_moved(
        connection, appeal_id, done.closed_at
    ):
        return None
    if before.stage is not AppealState.CONTACT or await _is_changed(
        connection, appeal_id, restored_at
    ):
        row = await appeals.find_by_id(connection, appeal_id)
        raise ChangedSinceRestore(f"appeal {row.number if row else appeal_id}")
    await erase(connection, keys, form, before)
    await store.change_row(
        connection,
        before,
        version=before.version + 1,
        stage=AppealState.NO_REQUEST,
        kind=AppealKind.NO_REQUEST,
        disposition=done.disposition,
        forward_due_on=None,
    )
    await transitions_store.add(
        connection,
        appeal_id,
        done.closed_by,
        before.stage,
        AppealState.NO_REQUEST,
        "",
        at=done.closed_at,
    )
    for each in offers(MovesWithAppeal):
        if each.entered is not None:
            await each.entered(connection, appeal_id, AppealState.NO_REQUEST)
    return appeal_id


async def repeat_reopening(
    connection: AsyncConnection, keys: RecordKeys, done: ReopenedAppeal
) -> UUID | None:
    """Open again what was open before a restore; returns the appeal, None when it is.

    Raises NotFound as `repeat_closing` does.
    """
    appeal_id = await appeals.find_again(connection, done.appeal_id, done.call_id)
    before = await store.find(connection, keys, appeal_id, alone=True)
    if before.stage is not AppealState.NO_REQUEST or await _has_moved(
        connection, appeal_id, done.reopened_at
    ):
        return None
    await store.change_row(
        connection,
        before,
        version=before.version + 1,
        stage=AppealState.CONTACT,
        disposition=None,
    )
    await transitions_store.add(
        connection,
        appeal_id,
        done.reopened_by,
        before.stage,
        AppealState.CONTACT,
        done.reason,
        at=done.reopened_at,
    )
    return appeal_id


async def _has_moved(connection: AsyncConnection, appeal_id: UUID, since: datetime) -> bool:
    """Whether an appeal was closed as no request, or opened again, then or later."""
    later = select(record_move.c.id).where(
        record_move.c.appeal_id == appeal_id,
        record_move.c.at >= since,
        or_(record_move.c.before == _CLOSED, record_move.c.after == _CLOSED),
    )
    return (await connection.execute(later.limit(1))).first() is not None


async def _is_changed(connection: AsyncConnection, appeal_id: UUID, since: datetime) -> bool:
    """Whether somebody has written about an appeal, or moved it, since then."""
    changes = (
        select(each.c.at).where(each.c.appeal_id == appeal_id, each.c.at > since)
        for each in (record_change, record_move)
    )
    found = await connection.execute(select(or_(*(each.exists() for each in changes))))
    return bool(found.scalar_one())
