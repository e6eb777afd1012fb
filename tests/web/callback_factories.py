"""A call that is owed to somebody, and a message that nobody has heard."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.storage.engine import unit_of_work
from callcenter.recordings.tables import recording
from callcenter.telephony.callbacks import store
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
    request = store.CallbackRequest(
        promise_id=promise_id,
        appeal_id=call.id,
        number=number,
        language=language,
        urgent=urgent,
        arrived_at=at,
        promised_at=at,
    )
    async with unit_of_work(engine) as connection:
        await store.promise_callback(connection, request)
    return promise_id


async def leave_message(engine: AsyncEngine, call: Call) -> UUID:
    """The recording of this call is a message in Russian; returns its id."""
    async with unit_of_work(engine) as connection:
        await connection.execute(
            update(recording).where(recording.c.id == call.recording).values(consultant_id=None)
        )
        await store.promise_message(
            connection,
            recording_id=call.recording,
            appeal_id=call.id,
            language="ru",
            urgent=False,
            arrived_at=datetime.now(UTC),
            promised_at=datetime.now(UTC),
        )
    return call.recording
