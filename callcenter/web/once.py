"""A request that is sent twice, because its answer was lost, is carried out once (Idempotency-Key).

The answer is kept in the transaction of the deed, so there is either both or neither. Only what was
done is kept: a refused request did nothing and may be sent again. The key itself is not kept but
its hash, and it keys the hash of the request: nobody can tell from the table what was sent. An
answer that is kept holds no personal data.
"""

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeVar

from fastapi import Depends, Header
from psycopg.errors import LockNotAvailable
from pydantic import BaseModel
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from starlette.requests import Request

from callcenter.errors import Conflict
from callcenter.storage.engine import as_a_whole
from callcenter.web.errors import KeyReused
from callcenter.web.site import CurrentSite, CurrentVisit
from callcenter.web.store import hash_of
from callcenter.web.tables import answered_request

KEPT = timedelta(hours=24)

Answer = TypeVar("Answer", bound=BaseModel)


class StillUnderWay(Conflict):
    """The first request with this Idempotency-Key is under way: wait, and send it again."""


@dataclass(frozen=True, slots=True)
class Once:
    """Carries a deed out once for each key of a person. Without a key, each time."""

    engine: AsyncEngine
    key_hash: bytes | None
    request_hash: bytes

    async def __call__(self, model: type[Answer], deed: Callable[[], Awaitable[Answer]]) -> Answer:
        """The deed's answer, or the one that it gave when it came with this key before.

        Units of work of the deed are one transaction. Raises KeyReused, StillUnderWay.
        """
        if self.key_hash is None:
            return await deed()
        async with as_a_whole(self.engine) as connection:
            if not await self._claim(connection, self.key_hash):
                return model.model_validate(await self._earlier(connection, self.key_hash))
            answer = await deed()
            await connection.execute(
                answered_request.update()
                .where(answered_request.c.key_hash == self.key_hash)
                .values(answer=answer.model_dump(mode="json"))
            )
            return answer

    async def _claim(self, connection: AsyncConnection, key_hash: bytes) -> bool:
        """Whether it is the first with this key. Waits for another that is under way."""
        now = datetime.now(UTC)
        expired = (answered_request.c.key_hash == key_hash) & (answered_request.c.at < now - KEPT)
        values = {"key_hash": key_hash, "request_hash": self.request_hash, "answer": {}, "at": now}
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
                raise StillUnderWay from exc
            raise
        return claimed.scalar_one_or_none() is not None

    async def _earlier(self, connection: AsyncConnection, key_hash: bytes) -> object:
        query = select(answered_request.c.request_hash, answered_request.c.answer)
        row = (await connection.execute(query.where(answered_request.c.key_hash == key_hash))).one()
        if not hmac.compare_digest(row.request_hash, self.request_hash):
            raise KeyReused
        return row.answer


async def once(
    request: Request,
    site: CurrentSite,
    visit: CurrentVisit,
    idempotency_key: Annotated[
        str | None,
        Header(
            max_length=200,
            pattern=r"^[\x21-\x7e]+$",
            description="a new one, such as a UUID, for each request that you may have to send "
            "again: for 24 hours the same request with the same key is answered as before",
        ),
    ] = None,
) -> Once:
    """`Once` for this request: to be called with what it does."""
    if idempotency_key is None:
        return Once(site.engine, None, b"")
    query = f"?{request.url.query}" if request.url.query else ""
    asked = (request.method, request.url.path + query, request.headers.get("if-match", ""))
    said = "\0".join(asked).encode() + b"\0" + await request.body()
    return Once(
        site.engine,
        hash_of(f"{visit.who}\0{idempotency_key}"),
        hmac.digest(idempotency_key.encode(), said, "sha256"),
    )


CurrentOnce = Annotated[Once, Depends(once)]


async def forget_the_past(connection: AsyncConnection) -> None:
    """Remove answers that are not given again."""
    old = answered_request.c.at < datetime.now(UTC) - KEPT
    await connection.execute(delete(answered_request).where(old))
