"""Idempotent requests: one sent twice, because its answer was lost, is carried out once.

The answer is stored in the transaction of the request's work, so there is either both or neither.
A refused request did nothing, is not stored and may be sent again. Stored are the hash of the
Idempotency-Key and the hash of the request under that key, so the table tells nobody what was
sent. A stored answer holds no personal data.
"""

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends, Header
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import Request

from callcenter.platform.core.errors import IdempotencyKeyReused
from callcenter.platform.identity import answered_requests
from callcenter.platform.identity.store import hash_of
from callcenter.platform.storage.engine import joined_unit_of_work
from callcenter.platform.web.context import CurrentActor, CurrentSite

Answer = TypeVar("Answer", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class IdempotentRequest:
    """Makes a call once for each key of a person; without a key, each time."""

    engine: AsyncEngine
    key_hash: bytes | None
    request_hash: bytes

    async def __call__(self, model: type[Answer], call: Callable[[], Awaitable[Answer]]) -> Answer:
        """The answer of a call, or the one that it gave with this key before.

        Units of work of the call are one transaction. Raises IdempotencyKeyReused,
        RequestInProgress.
        """
        if self.key_hash is None:
            return await call()
        async with joined_unit_of_work(self.engine) as connection:
            if not await answered_requests.claim(connection, self.key_hash, self.request_hash):
                earlier = await answered_requests.read(connection, self.key_hash)
                if not hmac.compare_digest(earlier.request_hash, self.request_hash):
                    raise IdempotencyKeyReused
                return model.model_validate(earlier.answer)
            answer = await call()
            await answered_requests.save(connection, self.key_hash, answer.model_dump(mode="json"))
            return answer


async def once(
    request: Request,
    site: CurrentSite,
    actor: CurrentActor,
    idempotency_key: Annotated[
        str | None,
        Header(
            max_length=200,
            pattern=r"^[\x21-\x7e]+$",
            description="a new one, such as a UUID, for each request that you may have to send "
            "again: for 24 hours the same request with the same key is answered as before",
        ),
    ] = None,
) -> IdempotentRequest:
    """`IdempotentRequest` of this request."""
    if idempotency_key is None:
        return IdempotentRequest(site.engine, None, b"")
    query = f"?{request.url.query}" if request.url.query else ""
    head = (request.method, request.url.path + query, request.headers.get("if-match", ""))
    content = "\0".join(head).encode() + b"\0" + await request.body()
    return IdempotentRequest(
        site.engine,
        hash_of(f"{actor.who}\0{idempotency_key}"),
        hmac.digest(idempotency_key.encode(), content, "sha256"),
    )


CurrentOnce = Annotated[IdempotentRequest, Depends(once)]
