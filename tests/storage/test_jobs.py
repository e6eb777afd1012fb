import asyncio
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.database_roles import DatabaseRole, in_role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import (
    WorkerResources,
    connected,
    enqueue,
    enqueue_after,
    enqueue_once,
    stretch,
    work,
)
from callcenter.telephony.reconciliation import jobs as _  # noqa: F401 the worker knows these
from tests.polling import until

ACCOUNT = "ledger.account_for_calls"
LISTENING = text(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND query LIKE 'LISTEN%procrastinate%'"
)
BEGUN = datetime(2026, 11, 26, 10, 20, tzinfo=UTC)


async def statuses(engine: AsyncEngine) -> dict[str, str]:
    async with unit_of_work(engine) as connection:
        rows = await connection.execute(text("SELECT task_name, status FROM procrastinate_jobs"))
        return {row.task_name: row.status for row in rows}


async def test_a_rolled_back_change_leaves_no_job(engine: AsyncEngine) -> None:
    async def change_and_fail() -> None:
        async with unit_of_work(engine) as connection:
            await enqueue(connection, ACCOUNT, timestamp=0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await change_and_fail()
    assert await statuses(engine) == {}


async def test_a_later_request_is_not_served_by_an_early_job(
    engine: AsyncEngine,
) -> None:
    rest = timedelta(minutes=10)
    for at in (BEGUN, BEGUN + 0.9 * rest, BEGUN + 1.1 * rest):
        job, when = stretch(ACCOUNT, rest, at)
        assert at + rest <= when <= at + 2 * rest
        assert job == f"{ACCOUNT}@{BEGUN.timestamp() // 600 + (at >= BEGUN + rest):.0f}"
    async with unit_of_work(engine) as connection:
        for _ in range(3):
            await enqueue_after(connection, ACCOUNT, timedelta(days=99))
    assert await statuses(engine) == {ACCOUNT: "todo"}
    async with unit_of_work(engine) as connection:
        count = await connection.scalar(text("SELECT count(*) FROM procrastinate_jobs"))
    assert count == 1


@pytest.mark.parametrize("said", ["x", "{}", '{"type": "abort_job_requested"}'])
async def test_no_notification_of_a_thief_ends_the_worker(
    engine: AsyncEngine, settings: Settings, said: str
) -> None:
    async def listens() -> bool:
        async with unit_of_work(engine) as connection:
            return bool(await connection.scalar(LISTENING))

    async def is_done() -> bool:
        return ACCOUNT not in await statuses(engine)

    async with connected(settings) as app:
        working = asyncio.create_task(work(app, WorkerResources(settings, engine)))
        try:
            await until(listens, "the worker listens")
            thief = in_role(settings, DatabaseRole.PORTAL).database
            with psycopg.connect(thief, autocommit=True) as connection:
                connection.execute("SELECT pg_notify('procrastinate_any_queue_v1', %s)", (said,))
            async with unit_of_work(engine) as changing:
                await enqueue_once(changing, ACCOUNT)
            await until(is_done, "the job is done")
            assert not working.done()
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)


async def test_a_dead_workers_job_is_done_by_another(
    engine: AsyncEngine, settings: Settings
) -> None:
    async with unit_of_work(engine) as connection:
        await enqueue(connection, ACCOUNT, timestamp=0)
        # As it is left when a worker is gone and another has noticed that it has no heartbeat.
        await connection.execute(text("UPDATE procrastinate_jobs SET status = 'doing'"))
    async with connected(settings) as app:
        await app.configure_task("jobs.rescue").defer_async(timestamp=0)
        for _ in range(2):
            await app.run_worker_async(
                wait=False,
                install_signal_handlers=False,
                additional_context={"tools": WorkerResources(settings, engine)},
            )
    assert (await statuses(engine))[ACCOUNT] == "succeeded"
