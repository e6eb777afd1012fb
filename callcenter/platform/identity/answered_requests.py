"""Store of answers to requests that carry an Idempotency-Key, by the hash of the key."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg.errors import LockNotAvailable
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.platform.core.errors import Conflict
from callcenter.platform.identity.tables import answered_request

RETENTION = timedelta(hours=24)


class RequestInProgress(Conflict):
    """The first request with this Idempotency-Key is under way: wait, and send it again."""


@dataclass(frozen=True, slots=True)
class AnsweredRequest:
    """A request by its hash, and the answer that it was given."""

    request_hash: bytes
    answer: Mapping[str, Any]


async def claim(connection: AsyncConnection, key_hash: bytes, request_hash: bytes) -> bool:
    """Insert a request; False when one with this key was answered within RETENTION.

    Waits for a request with the same key that is under way. Raises RequestInProgress when that
    takes too long.
    """
    now = datetime.now(UTC)
    expired = (answered_request.c.key_hash == key_hash) & (answered_request.c.at < now - RETENTION)
    values = {"key_hash": key_hash, "request_hash": request_hash, "answer": {}, "at": now}
    try:
        await connection.execute(delete(answered_request).where(expired))
        claimed = await connection.execute(
            insert(answered_request)
            .values(values)
            .on_conflict_do_nothing()
            .returning(answered_request.c.at)
        )
    except OperationalError as exc:
        if isinstance(exc.orig, LockNotAvailable):
            raise RequestInProgress from exc
        raise
    return claimed.scalar_one_or_none() is not None


async def read(connection: AsyncConnection, key_hash: bytes) -> AnsweredRequest:
    """The request with this key, which was claimed before."""
    query = select(answered_request.c.request_hash, answered_request.c.answer)
    row = (await connection.execute(query.where(answered_request.c.key_hash == key_hash))).one()
    return AnsweredRequest(row.request_hash, row.answer)


async def save(connection: AsyncConnection, key_hash: bytes, answer: Mapping[str, Any]) -> None:
    """Store the answer to a request that was claimed."""
    await connection.execute(
        answered_request.update()
        .where(answered_request.c.key_hash == key_hash)
        .values(answer=answer)
    )


async def delete_expired(connection: AsyncConnection) -> None:
    """Delete answers that are not given again."""
    old = answered_request.c.at < datetime.now(UTC) - RETENTION
    await connection.execute(delete(answered_request).where(old))
