"""What is typed into a record and not saved yet: kept encrypted, so that no crash takes it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.errors import AskedWrongly
from callcenter.register.fields import Content, Value
from callcenter.register.private import Keys
from callcenter.register.tables import record_draft

LARGEST = 200_000  # bytes, sealed


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody typed on top of a version of the record, as it was typed: not checked."""

    version: int
    content: dict[str, Value]
    saved_at: datetime


async def keep(
    connection: AsyncConnection,
    keys: Keys,
    appeal_id: UUID,
    *,
    author: str,
    version: int,
    content: Content,
) -> datetime:
    """Keep it in place of an earlier one; when it was kept. Raises AskedWrongly if too large."""
    sealed = keys.seal(appeal_id, {"content": content}) or b""
    if len(sealed) > LARGEST:
        raise AskedWrongly("this is too much for one appeal: attach it as a file")
    now = datetime.now(UTC)
    values = {"version": version, "sealed": sealed, "saved_at": now}
    await connection.execute(
        upsert(record_draft)
        .values(appeal_id=appeal_id, author=author, **values)
        .on_conflict_do_update(index_elements=["appeal_id", "author"], set_=values)
    )
    return now


async def find(
    connection: AsyncConnection, keys: Keys, appeal_id: UUID, author: str
) -> Draft | None:
    """What this author typed and did not save. Raises Unreadable."""
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


async def drop(connection: AsyncConnection, appeal_id: UUID, author: str) -> None:
    """Drop the author's draft; there may be none."""
    await connection.execute(
        delete(record_draft).where(
            record_draft.c.appeal_id == appeal_id, record_draft.c.author == author
        )
    )
