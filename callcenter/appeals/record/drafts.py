"""Store of drafts: unsaved input of records, encrypted, one for each author."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import delete as delete_from
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.appeals.encryption import RecordKeys
from callcenter.appeals.rules.fields import Content, Value
from callcenter.appeals.tables import record_draft
from callcenter.platform.core.errors import InvalidRequest

SIZE_LIMIT = 200_000  # bytes, sealed


@dataclass(frozen=True, slots=True)
class Draft:
    """Unsaved input on top of a version of a record; it is not validated."""

    version: int
    content: dict[str, Value]
    saved_at: datetime


async def save(
    connection: AsyncConnection,
    keys: RecordKeys,
    appeal_id: UUID,
    *,
    author: str,
    version: int,
    content: Content,
) -> datetime:
    """Replace the author's draft; returns when. Raises InvalidRequest if it is too large."""
    sealed = keys.seal(appeal_id, {"content": content}) or b""
    if len(sealed) > SIZE_LIMIT:
        raise InvalidRequest("this is too much for one appeal: attach it as a file")
    now = datetime.now(UTC)
    values = {"version": version, "sealed": sealed, "saved_at": now}
    await connection.execute(
        upsert(record_draft)
        .values(appeal_id=appeal_id, author=author, **values)
        .on_conflict_do_update(index_elements=["appeal_id", "author"], set_=values)
    )
    return now


async def find(
    connection: AsyncConnection, keys: RecordKeys, appeal_id: UUID, author: str
) -> Draft | None:
    """The draft of an author, if there is one. Raises DecryptionFailed."""
    row = (
        await connection.execute(
            select(record_draft).where(
                record_draft.c.appeal_id == appeal_id, record_draft.c.author == author
            )
        )
    ).one_or_none()
    if row is None:
        return None
    return Draft(row.version, keys.open(appeal_id, row.sealed)["content"], row.saved_at)


async def delete(connection: AsyncConnection, appeal_id: UUID, author: str) -> None:
    """Delete the draft of an author; there may be none."""
    await connection.execute(
        delete_from(record_draft).where(
            record_draft.c.appeal_id == appeal_id, record_draft.c.author == author
        )
    )
