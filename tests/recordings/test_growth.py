"""How fast the store grows, by what was sealed."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.commands import check
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import unit_of_work
from callcenter.recordings.store import daily_growth
from callcenter.recordings.tables import recording
from tests.appeals import opened

NOW = datetime.now(UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


async def growth(engine: AsyncEngine) -> float | None:
    async with unit_of_work(engine) as connection:
        return await daily_growth(connection, NOW)


async def recorded(engine: AsyncEngine, at: datetime, size: int, state: str = "stored") -> None:
    """Add a recording that began then, of this many bytes in the store."""
    async with unit_of_work(engine) as connection:
        appeal_id, recording_id = await opened(connection, at), uuid4()
        await connection.execute(
            insert(recording).values(
                id=recording_id,
                appeal_id=appeal_id,
                spool_name=f"{recording_id}.raw",
                state=state,
                started_at=at,
                sha256="-" if state == "stored" else None,
                bytes=size if state == "stored" else None,
            )
        )


async def test_the_growth_is_that_of_the_last_week(engine: AsyncEngine) -> None:
    await recorded(engine, NOW - HOUR, 0, "closed")
    assert await growth(engine) is None
    await recorded(engine, NOW - HOUR, 600)
    assert await growth(engine) == 600  # of a day, not of an hour
    await recorded(engine, NOW - 2 * DAY, 200)
    assert await growth(engine) == pytest.approx(400)
    await recorded(engine, NOW - 7 * DAY, 1_000_000)  # a week ago and more
    assert await growth(engine) == pytest.approx(400)


async def test_check_tells_for_how_long_there_is_room(
    settings: Settings, engine: AsyncEngine
) -> None:
    look = check.CHECKS["recordings"]["disk"]
    assert "last week" not in (await asyncio.to_thread(check.examine, look, settings))[1]
    await recorded(engine, NOW - HOUR, 2**60)
    state, words = await asyncio.to_thread(check.examine, look, settings)
    assert (state, words.endswith("for 0 days as last week: make room")) == ("warn", True)
    elsewhere = settings.model_copy(update={"recordings_url": "s3://bucket"})
    assert "last week" not in (await asyncio.to_thread(check.examine, look, elsewhere))[1]
