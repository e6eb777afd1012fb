import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.exc import DataError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.platform.core.errors import DependencyUnavailable
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import (
    POOL_SIZE,
    UNFINISHED_RESTORE,
    RestoreUnfinished,
    as_json,
    database_address,
    open_database,
    run_once_in_transaction,
    unit_of_work,
    within,
)
from callcenter.platform.storage.jobs import connected
from callcenter.platform.storage.migrate import migrate
from callcenter.platform.storage.migration_plan import read_plan
from callcenter.platform.storage.owner_connection import owner_connection
from callcenter.platform.storage.redis import open_redis
from tests.calls.processes import OwnPostgres
from tests.polling import require_within

AWKWARD = "Байланыс орталығы 50% #1?&"
COUNT = text("SELECT count(*) FROM appeal_counter")
ADD = text("INSERT INTO appeal_counter VALUES (26, 1)")


def pointed_at(settings: Settings, url: str) -> Settings:
    return settings.model_copy(update={"database_url": SecretStr(url)})


def test_servers_of_ours_are_found_in_any_folder(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, var=tmp_path / AWKWARD)
    folder = str(settings.postgres_folder)
    assert conninfo_to_dict(settings.database)["host"] == folder
    assert database_address(settings).query["host"] == folder
    redis = open_redis(settings)
    assert redis.connection_pool.connection_kwargs["path"] == str(settings.run / "redis.sock")


async def count(engine: AsyncEngine) -> int:
    async with unit_of_work(engine) as connection:
        return int((await connection.execute(COUNT)).scalar_one())


async def test_a_finished_unit_of_work_is_committed(engine: AsyncEngine) -> None:
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


async def _in_a_unit_of_work(settings: Settings) -> None:
    async with unit_of_work(open_database(settings)):
        pass


async def _as_its_owner(settings: Settings) -> None:
    with owner_connection(settings, unprivileged="not as this owner"):
        pass


async def _for_its_plan(settings: Settings) -> None:
    read_plan(settings)


async def _for_jobs(settings: Settings) -> None:
    async with connected(settings):
        pass


async def test_a_half_restored_database_is_for_who_restores(
    settings: Settings, engine: AsyncEngine
) -> None:
    async with unit_of_work(engine) as connection:
        await connection.execute(text(f"CREATE TABLE {UNFINISHED_RESTORE} (progress text)"))
    served, restores = open_database(settings), open_database(settings, is_restoring=True)
    for _ in range(POOL_SIZE + 1):  # none of its connections is lost to the pool
        with pytest.raises(RestoreUnfinished, match="run the same `callcenter restore` again"):
            await count(served)
    with pytest.raises(RestoreUnfinished):
        await asyncio.to_thread(migrate, settings)
    assert await count(restores) == 0
    async with unit_of_work(restores) as connection:
        await connection.execute(text(f"DROP TABLE {UNFINISHED_RESTORE}"))
    assert await count(served) == 0
    await served.dispose()
    await restores.dispose()


async def test_nobody_works_on_jobs_of_a_half_restored_database(
    settings: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with unit_of_work(engine) as connection:
        await connection.execute(text(f"CREATE TABLE {UNFINISHED_RESTORE} (progress text)"))
    monkeypatch.setattr("callcenter.platform.storage.jobs.CONNECT_TIMEOUT", 0.5)
    with pytest.raises(DependencyUnavailable):
        await _for_jobs(settings)


@pytest.mark.parametrize("reach", [_in_a_unit_of_work, _as_its_owner, _for_its_plan, _for_jobs])
async def test_a_database_that_is_not_there_is_named(
    settings: Settings, tmp_path: Path, reach: Callable[[Settings], Awaitable[None]]
) -> None:
    """In the same words, with the reason in one line, whatever reaches for it."""
    absent = pointed_at(settings, f"postgresql://postgres@/x?host={tmp_path}")
    said = r"^cannot reach the database \(.+\): start it or correct its URL$"
    with pytest.raises(DependencyUnavailable, match=said):
        await reach(absent)


async def test_a_database_without_tables_asks_for_migrate(
    settings: Settings, empty_database: str
) -> None:
    async def work(connection: AsyncConnection) -> None:
        await connection.execute(COUNT)

    with pytest.raises(DependencyUnavailable, match="callcenter migrate"):
        await run_once_in_transaction(pointed_at(settings, empty_database), work)


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


async def test_a_limit_holds_while_the_server_hangs(short_folder: Path, settings: Settings) -> None:
    server = OwnPostgres(short_folder / "hangs")
    await asyncio.to_thread(server.start)
    engine = open_database(pointed_at(settings, server.url))
    try:
        await count(engine)
        server.pause()
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await count(engine)
        require_within(time.monotonic() - began, 5.0, "the limit")
    finally:
        server.go_on()
        await engine.dispose()
        await asyncio.to_thread(server.end)


async def test_rows_with_half_a_surrogate_pair_are_refused(engine: AsyncEngine) -> None:
    async with unit_of_work(engine) as connection:
        with pytest.raises(DataError):
            await within(connection).run(
                "SELECT * FROM jsonb_to_recordset(CAST(%(rows)s AS jsonb)) AS new (word text)",
                rows=as_json([{"word": "\ud800"}]),
            )


async def test_redis_gives_back_the_text_that_it_was_given(redis: Redis) -> None:
    await redis.set("name", "Айгүл")
    assert await redis.get("name") == "Айгүл"
