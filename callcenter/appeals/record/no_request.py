"""Appeals that were closed as no request: what closing erases, and erases again after a restore."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls import store as appeals
from callcenter.appeals.calls.tables import appeal
from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.record import personal_data, store, transitions_store
from callcenter.appeals.record.store import Record
from callcenter.appeals.rules.fields import Form
from callcenter.appeals.rules.states import AppealKind, AppealState
from callcenter.appeals.tables import record, record_move

CLOCK_MARGIN = timedelta(hours=1)  # by which moves may be numbered otherwise than by their times

_IS_CLOSING = (
    record_move.c.after == AppealState.NO_REQUEST.value,
    record_move.c.before != AppealState.NO_REQUEST.value,  # else it is a step within the stage
)


@dataclass(frozen=True, slots=True)
class ClosedAppeal:
    """An appeal that was closed as no request, with all that it takes to repeat it."""

    appeal_id: UUID
    call_id: str | None
    closed_at: datetime
    closed_by: str
    disposition: str | None


async def erase(connection: AsyncConnection, keys: RecordKeys, form: Form, before: Record) -> None:
    """Erase the content of a record, and all other personal data of its appeal."""
    await store.erase_content(connection, keys, form, before)
    await personal_data.erase(connection, before.appeal_id)


async def list_closed(
    connection: AsyncConnection, since: datetime, until: datetime
) -> list[ClosedAppeal]:
    """Appeals that were closed as no request from `since` to before `until`."""
    # Moves are many, and by number they are found from the newest back to that time.
    older = (
        select(record_move.c.id)
        .where(record_move.c.at < since - CLOCK_MARGIN)
        .order_by(record_move.c.id.desc())
        .limit(1)
    )
    query = (
        select(
            appeal.c.id,
            appeal.c.call_id,
            record_move.c.at,
            record_move.c.author,
            record.c.disposition,
        )
        .join(record, record.c.appeal_id == record_move.c.appeal_id)
        .join(appeal, appeal.c.id == record_move.c.appeal_id)
        .where(record_move.c.id > func.coalesce(older.scalar_subquery(), 0))
        .where(record_move.c.at >= since, record_move.c.at < until, *_IS_CLOSING)
    )
    return [ClosedAppeal(*row) for row in await connection.execute(query)]


async def repeat_closing(
    connection: AsyncConnection, keys: RecordKeys, form: Form, done: ClosedAppeal
) -> UUID | None:
    """Close and erase again what a restore brought back; returns the appeal, None when it is.

    An appeal that was entered again from CEL is found by its call. Raises NotFound when there is
    neither.
    """
    appeal_id = await appeals.find_again(connection, done.appeal_id, done.call_id)
    await appeals.lock_appeal(connection, appeal_id)
    # What was entered after it was opened again stays.
    later = select(record_move.c.id).where(
        record_move.c.appeal_id == appeal_id, record_move.c.at >= done.closed_at, *_IS_CLOSING
    )
    if (await connection.execute(later.limit(1))).first() is not None:
        return None
    before = await store.find(connection, keys, appeal_id, alone=True)
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
        AppealState.CONTACT,
        AppealState.NO_REQUEST,
        "",
        at=done.closed_at,
    )
    return appeal_id
