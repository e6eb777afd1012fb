import asyncio
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.exc import DataError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.errors import NotReady
from callcenter.settings import Settings
from callcenter.storage.engine import POOL_SIZE, once, open_database, unit_of_work

COUNT = text("SELECT count(*) FROM appeal_counter")
ADD = text("INSERT INTO appeal_counter VALUES (26, 1)")


def pointed_at(settings: Settings, url: str) -> Settings:
    return settings.model_copy(update={"database_url": SecretStr(url)})


async def count(engine: AsyncEngine) -> int:
    async with unit_of_work(engine) as connection:
        return int((await connection.execute(COUNT)).scalar_one())


async def test_a_finished_unit_of_work_is_kept(engine: AsyncEngine) -> None:
    async with unit_of_work(engine) as connection:
        await connection.execute(ADD)
    assert await count(engine) == 1


async def test_a_cancelled_unit_of_work_leaves_nothing(engine: AsyncEngine) -> None:
    begun = asyncio.Event()

    async def work() -> None:
        async with unit_of_work(engine) as connection:
            await connection.execute(ADD)
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await count(engine) == 0
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]


async def test_more_units_of_work_than_connections_take_turns(engine: AsyncEngine) -> None:
    assert await asyncio.gather(*(count(engine) for _ in range(3 * POOL_SIZE))) == (
        [0] * 3 * POOL_SIZE
    )


async def test_an_error_does_not_tell_the_parameters(engine: AsyncEngine) -> None:
    async with unit_of_work(engine) as connection:
        with pytest.raises(DataError, match="division by zero") as caught:
            await connection.execute(
                text("SELECT 1 / 0 WHERE :number <> ''"), {"number": "+77010000000"}
            )
    assert "7701" not in str(caught.value)


async def test_a_database_that_is_not_there_is_named(settings: Settings, tmp_path: Path) -> None:
    engine = open_database(pointed_at(settings, f"postgresql://postgres@/x?host={tmp_path}"))
    with pytest.raises(NotReady, match="cannot reach the database"):
        async with unit_of_work(engine):
            pass


async def test_a_database_without_tables_asks_for_migrate(
    settings: Settings, empty_database: str
) -> None:
    async def work(connection: AsyncConnection) -> None:
        await connection.execute(COUNT)

    with pytest.raises(NotReady, match="callcenter migrate"):
        await once(pointed_at(settings, empty_database), work)


async def test_the_server_ends_what_hangs(engine: AsyncEngine) -> None:
    async with unit_of_work(engine) as connection:
        limits = {
            name: (await connection.execute(text(f"SHOW {name}"))).scalar_one()
            for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        }
    assert limits == {
        "statement_timeout": "15s",
        "lock_timeout": "5s",
        "idle_in_transaction_session_timeout": "30s",
    }


async def test_redis_gives_back_the_text_that_it_was_given(redis: Redis) -> None:
    await redis.set("name", "Айгүл")
    assert await redis.get("name") == "Айгүл"
