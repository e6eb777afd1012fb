"""A recording knows the outcome and language of its call, whichever was written first."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.calls import store as appeals
from callcenter.platform.storage.engine import unit_of_work
from callcenter.recordings import store
from callcenter.recordings.tables import recording
from tests.appeals import opened
from tests.demands.recorded import TALKED_AT

Change = Callable[[AsyncConnection, UUID], Awaitable[None]]


async def an_appeal(engine: AsyncEngine) -> UUID:
    async with unit_of_work(engine) as connection:
        return await opened(connection, TALKED_AT)


async def begin(connection: AsyncConnection, appeal_id: UUID) -> None:
    await store.begin(
        connection,
        recording_id=uuid4(),
        appeal_id=appeal_id,
        consultant_id=None,
        spool_name=f"{uuid4()}.raw",
        started_at=TALKED_AT,
    )


async def close(connection: AsyncConnection, appeal_id: UUID, outcome: str = "talked") -> None:
    ended_at = TALKED_AT + timedelta(minutes=1)
    await appeals.close_appeal(connection, appeal_id=appeal_id, outcome=outcome, ended_at=ended_at)


async def speak(connection: AsyncConnection, appeal_id: UUID) -> None:
    await appeals.set_language(connection, appeal_id=appeal_id, language="kk")


async def existing(engine: AsyncEngine, column: str = "call_outcome") -> list[str | None]:
    async with unit_of_work(engine) as connection:
        return list((await connection.execute(select(recording.c[column]))).scalars())


async def two_recorded(engine: AsyncEngine) -> tuple[UUID, UUID]:
    """Two appeals of calls, of each of which a recording has begun."""
    both = await an_appeal(engine), await an_appeal(engine)
    async with unit_of_work(engine) as connection:
        for each in both:
            await begin(connection, each)
    return both


async def test_the_outcome_is_its_appeals_and_none_during_the_call(
    engine: AsyncEngine,
) -> None:
    this, _ = await two_recorded(engine)
    assert await existing(engine) == [None, None]
    async with unit_of_work(engine) as connection:
        await close(connection, this)
    async with unit_of_work(engine) as connection:
        await begin(connection, this)  # as that of a callback, days later
        await close(connection, this, "message")  # the first outcome stays
    assert sorted(map(str, await existing(engine))) == ["None", "talked", "talked"]


async def test_the_language_follows_its_appeal_when_changed(
    engine: AsyncEngine,
) -> None:
    this, _ = await two_recorded(engine)
    assert await existing(engine, "call_language") == [None, None]
    async with unit_of_work(engine) as connection:
        await speak(connection, this)
        await begin(connection, this)
    assert sorted(map(str, await existing(engine, "call_language"))) == ["None", "kk", "kk"]
    async with unit_of_work(engine) as connection:
        await appeals.set_language(connection, appeal_id=this, language="ru")
    assert sorted(map(str, await existing(engine, "call_language"))) == ["None", "ru", "ru"]
    assert await existing(engine) == [None, None, None]


@pytest.mark.parametrize("begins_first", [True, False])
@pytest.mark.parametrize(
    ("change", "column", "value"),
    [(close, "call_outcome", "talked"), (speak, "call_language", "kk")],
)
async def test_two_who_write_at_once_leave_it_right(
    engine: AsyncEngine, begins_first: bool, change: Change, column: str, value: str
) -> None:
    appeal_id = await an_appeal(engine)
    first, second = (begin, change) if begins_first else (change, begin)

    async def come_second() -> None:
        async with unit_of_work(engine) as connection:
            await second(connection, appeal_id)

    async with unit_of_work(engine) as connection:
        await first(connection, appeal_id)
        task = asyncio.create_task(come_second())
        done, _ = await asyncio.wait((task,), timeout=0.3)
        assert not done, "it does not wait for the first"
    await task
    assert await existing(engine, column) == [value]
