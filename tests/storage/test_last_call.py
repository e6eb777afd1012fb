"""The last call of a consultant: whose record is written after it."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.appeals.calls.statistics import find_last_call
from callcenter.appeals.calls.tables import appeal
from callcenter.consultants.tables import consultant
from callcenter.platform.storage.engine import unit_of_work
from callcenter.recordings.tables import recording
from tests.web.conftest import open_call

NOW = datetime(2026, 11, 28, 9, tzinfo=UTC)


async def add_consultants(engine: AsyncEngine) -> dict[str, UUID]:
    ids = {extension: uuid4() for extension in ("201", "202")}
    async with unit_of_work(engine) as connection:
        for extension, identity in ids.items():
            values = {"id": identity, "extension": extension, "languages": ["ru"]}
            await connection.execute(insert(consultant).values(name="A", digest="-", **values))
    return ids


@pytest.mark.parametrize("state", ["closed", "stored"])
async def test_a_call_that_was_given_on_is_ones_last(engine: AsyncEngine, state: str) -> None:
    ids = await add_consultants(engine)
    before_id, _ = await open_call(engine, "before", NOW - timedelta(minutes=9))
    given_id, given = await open_call(engine, "given", NOW - timedelta(minutes=5))
    async with unit_of_work(engine) as connection:
        for appeal_id, who in ((before_id, "201"), (given_id, "202")):
            query = update(appeal).where(appeal.c.id == appeal_id)
            await connection.execute(query.values(consultant_id=ids[who], urgent=[]))
        await connection.execute(
            insert(recording).values(
                id=uuid4(),
                appeal_id=given_id,
                consultant_id=ids["201"],  # who talked first
                spool_name="x",
                state=state,
                sha256="-" if state == "stored" else None,
                started_at=NOW - timedelta(minutes=4),
            )
        )
        for extension in ids:
            found = await find_last_call(connection, extension, NOW - timedelta(hours=12))
            assert found == (given, []), extension
        assert await find_last_call(connection, "201", NOW) is None
