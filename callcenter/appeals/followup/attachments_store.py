"""Attachments of appeals in PostgreSQL: their names are sealed, their bytes are elsewhere."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Row, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.calls.tables import appeal
from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.tables import record_attachment, record_letter
from callcenter.platform.core.errors import NotFound


class ScanState(StrEnum):
    """State of an attachment. Only available ones can be opened."""

    ARRIVING = "arriving"  #: on its way into the store
    WAITING = "waiting"  #: for clamd
    AVAILABLE = "kept"
    QUARANTINED = "aside"  #: a virus is in it, or it cannot be checked: nobody can open it
    FAILED = "failed"  #: the upload is incomplete: it is to be repeated
    ERASED = "erased"  #: personal data were erased; the file is gone


#: In which the same bytes are not stored twice.
PRESENT_STATES = (
    ScanState.ARRIVING.value,
    ScanState.WAITING.value,
    ScanState.AVAILABLE.value,
    ScanState.QUARANTINED.value,
)


@dataclass(frozen=True, slots=True)
class Attachment:
    """Attachment. `name` is personal data; `checked_at` is None if no clamd has scanned it."""

    id: UUID
    appeal_id: UUID
    name: str
    type: str
    bytes: int
    sha256: str
    state: ScanState
    author: str
    at: datetime
    checked_at: datetime | None
    why: str | None


async def insert_new(
    connection: AsyncConnection,
    keys: RecordKeys,
    appeal_id: UUID,
    *,
    name: str,
    ending: str,
    size: int,
    sha256: str,
    author: str,
) -> UUID:
    """Insert an attachment that is on its way into the store; returns its id."""
    identity = uuid4()
    await connection.execute(
        insert(record_attachment).values(
            id=identity,
            appeal_id=appeal_id,
            sealed_name=keys.seal(identity, {"name": name}),
            type=ending,
            bytes=size,
            sha256=sha256,
            state=ScanState.ARRIVING.value,
            author=author,
            at=datetime.now(UTC),
        )
    )
    return identity


async def list_of_appeal(
    connection: AsyncConnection, keys: RecordKeys, appeal_id: UUID
) -> list[Attachment]:
    """Return the attachments of an appeal, the oldest first, with erased ones."""
    query = select(record_attachment).where(record_attachment.c.appeal_id == appeal_id)
    rows = await connection.execute(query.order_by(record_attachment.c.at, record_attachment.c.id))
    return [_attachment(keys, row) for row in rows]


async def find(connection: AsyncConnection, keys: RecordKeys, identity: UUID) -> Attachment:
    """Find an attachment. Raises NotFound."""
    query = select(record_attachment).where(record_attachment.c.id == identity)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFound("there is no file with this id")
    return _attachment(keys, row)


async def list_numbers(
    connection: AsyncConnection, identities: Collection[UUID]
) -> dict[UUID, str]:
    """Return the number of the appeal that each of these attachments is of."""
    query = (
        select(record_attachment.c.id, appeal.c.number)
        .join(appeal, appeal.c.id == record_attachment.c.appeal_id)
        .where(record_attachment.c.id.in_(identities))
    )
    return {row.id: row.number for row in await connection.execute(query)}


async def find_same(
    connection: AsyncConnection, keys: RecordKeys, appeal_id: UUID, sha256: str
) -> Attachment | None:
    """Find the appeal's attachment with these bytes."""
    query = select(record_attachment).where(
        *_present(appeal_id), record_attachment.c.sha256 == sha256
    )
    row = (await connection.execute(query.limit(1))).one_or_none()
    return None if row is None else _attachment(keys, row)


async def count_present(connection: AsyncConnection, appeal_id: UUID) -> int:
    """Count the attachments that an appeal has, without failed and erased ones."""
    count = select(func.count()).select_from(record_attachment).where(*_present(appeal_id))
    return int((await connection.execute(count)).scalar_one())


async def change_state(
    connection: AsyncConnection, identity: UUID, before: ScanState, after: ScanState, **values: Any
) -> None:
    """Change the state, unless it is not `before` any more."""
    await connection.execute(
        update(record_attachment)
        .where(record_attachment.c.id == identity, record_attachment.c.state == before.value)
        .values(state=after.value, **values)
    )


async def erase(connection: AsyncConnection, identity: UUID) -> None:
    """Erase an attachment, unless it is the scan of a letter. The worker removes its bytes."""
    is_scan = exists().where(record_letter.c.scan == identity)
    await connection.execute(
        update(record_attachment)
        .where(record_attachment.c.id == identity, ~is_scan)
        .values(state=ScanState.ERASED.value, sealed_name=None, why=None)
    )


def _present(appeal_id: UUID) -> tuple[ColumnElement[bool], ...]:
    return (
        record_attachment.c.appeal_id == appeal_id,
        record_attachment.c.state.in_(PRESENT_STATES),
    )


def _attachment(keys: RecordKeys, row: Row[Any]) -> Attachment:
    return Attachment(
        row.id,
        row.appeal_id,
        keys.open(row.id, row.sealed_name).get("name", ""),
        row.type,
        row.bytes,
        row.sha256,
        ScanState(row.state),
        row.author,
        row.at,
        row.checked_at,
        row.why,
    )
