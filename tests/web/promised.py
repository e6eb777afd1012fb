"""A call that is owed to somebody."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.promises import store
from callcenter.storage.engine import unit_of_work
from tests.web.conftest import Call

NUMBER = "+77010000099"


async def owe(
    engine: AsyncEngine,
    call: Call,
    *,
    since: timedelta = timedelta(),
    number: str = NUMBER,
    language: str = "kk",
    urgent: bool = False,
) -> UUID:
    """Promise, so long ago, to call this number back because of that call; returns the id."""
    promise_id, at = uuid4(), datetime.now(UTC) - since
    async with unit_of_work(engine) as connection:
        await store.promise_callback(
            connection,
            promise_id=promise_id,
            appeal_id=call.id,
            number=number,
            language=language,
            urgent=urgent,
            arrived_at=at,
            promised_at=at,
        )
    return promise_id
