"""Background jobs (procrastinate), stored in PostgreSQL beside their data.

A room declares its tasks in its `jobs.py` with `@jobs.task(name="<room>.<what>", ...)`; the worker
imports those modules. What has to run all the time is a `WorkerLoop` that the room offers. A change
and the job that it needs go into one transaction (`enqueue`), so that neither is ever without the
other.
"""

import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from procrastinate import App, JobContext, PsycopgConnector
from procrastinate.connector import Notify
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from procrastinate.types import JSONValue
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.platform.core.errors import DependencyUnavailable
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import (
    CONNECT_ARGUMENTS,
    IS_UNFINISHED,
    RestoreUnfinished,
    unreachable,
)
from callcenter.platform.storage.notify_listener import ListeningConnection

CONNECT_TIMEOUT = 5.0  # seconds
LOOK = '{"type": "job_inserted"}'  #: the one notification that a worker acts upon
POLL_INTERVAL = 30.0  # seconds between two looks for jobs whose time has come

# They log each task that is declared: nothing has happened then.
for _name in ("procrastinate.blueprints", "procrastinate.periodic"):
    logging.getLogger(_name).setLevel(logging.WARNING)

# This connector is never opened: `enqueue` writes through connections of others, and a worker
# brings its own (see `connected`).
jobs = App(connector=PsycopgConnector())


class JobConnector(PsycopgConnector):
    """A connector to which any notification says that there is a job, and nothing else.

    Every role of the database can send one, also one that was taken over: what is no JSON would end
    the worker, and some ask it to abort a job.
    """

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        async def look(*, channel: str, payload: str) -> None:  # noqa: ARG001 (procrastinate's)
            await on_notification(channel=channel, payload=LOOK)

        await super().listen_notify(look, channels)


@dataclass(frozen=True, slots=True)
class WorkerResources:
    """The resources of a worker, passed to every job."""

    settings: Settings
    engine: AsyncEngine


@dataclass(frozen=True, slots=True)
class WorkerLoop:
    """Extension point: what every worker runs beside its jobs, until it is cancelled.

    A loop that ends, or raises, ends the worker.
    """

    key: str
    run: Callable[[WorkerResources, Redis], Coroutine[Any, Any, None]]


def tools_of(context: JobContext) -> WorkerResources:
    """The worker's resources in a job (the task sets `pass_context=True`)."""
    tools: WorkerResources = context.additional_context["tools"]
    return tools


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[App]:
    """The job application with its own connections, for a worker.

    Raises DependencyUnavailable when the database cannot be reached within 5 seconds, is half
    restored or was not migrated.
    """
    pool: AsyncConnectionPool[psycopg.AsyncConnection[Any]] = AsyncConnectionPool(
        settings.database,
        connection_class=ListeningConnection,
        kwargs=CONNECT_ARGUMENTS,
        configure=_configure,
        check=AsyncConnectionPool.check_connection,
        min_size=1,
        max_size=4,
        timeout=CONNECT_TIMEOUT,
        open=False,
    )
    connector = JobConnector()
    with jobs.replace_connector(connector):
        try:
            try:
                # Opened by the connector, it would be waited for thirty seconds.
                await pool.open(wait=True, timeout=CONNECT_TIMEOUT)
                await connector.open_async(pool)
                migrated = await jobs.check_connection_async()
            except (PoolTimeout, ConnectorException) as exc:
                raise unreachable(exc) from exc
            if not migrated:
                raise DependencyUnavailable(
                    "the database has no jobs yet: run `callcenter migrate`"
                )
            yield jobs
        finally:
            await pool.close()


async def _configure(connection: psycopg.AsyncConnection[Any]) -> None:
    """Refuse a half restored database, as engines do.

    Each of procrastinate's operations is one statement: without BEGIN and COMMIT around it.
    """
    await connection.set_autocommit(True)
    found = await connection.execute(IS_UNFINISHED.encode())
    if await found.fetchone() == (True,):
        raise RestoreUnfinished


async def enqueue(connection: AsyncConnection, task: str, **arguments: JSONValue) -> None:
    """Enqueue a job in the transaction of `connection`: it exists if and when that commits.

    `task` is the name of a task, `<room>.<what>`; arguments are what JSON can hold.
    """
    raw = await connection.get_raw_connection()
    deferrer = jobs.configure_task(task, connection=raw.driver_connection)
    await deferrer.defer_async(**arguments)


async def enqueue_once(connection: AsyncConnection, task: str) -> None:
    """Enqueue a job, unless it waits already.

    Raises DependencyUnavailable when the database is lost.
    """
    await _enqueue_one(connection, task, task, datetime.now(UTC))


async def enqueue_after(connection: AsyncConnection, task: str, rest: timedelta) -> None:
    """Enqueue a job, to run `rest` from now at the earliest, twice that at the latest.

    All requests within the same stretch of that length share one job; a later request has the next
    one, so that none is done too early. Raises DependencyUnavailable when the database is lost.
    """
    await _enqueue_one(connection, task, *stretch(task, rest, datetime.now(UTC)))


def stretch(task: str, rest: timedelta, now: datetime) -> tuple[str, datetime]:
    """The lock of the shared job of this stretch, and its time."""
    number = now.timestamp() // rest.total_seconds()
    begun = datetime.fromtimestamp(number * rest.total_seconds(), UTC)
    return f"{task}@{number:.0f}", begun + 2 * rest


async def _enqueue_one(connection: AsyncConnection, task: str, lock: str, at: datetime) -> None:
    raw = await connection.get_raw_connection()
    deferrer = jobs.configure_task(
        task, connection=raw.driver_connection, queueing_lock=lock, schedule_at=at
    )
    try:
        with suppress(AlreadyEnqueued):
            async with connection.begin_nested():
                await deferrer.defer_async(timestamp=0)
    except ConnectorException as exc:
        raise DependencyUnavailable(f"cannot enqueue {task}: the database fails") from exc


async def work(app: App, tools: WorkerResources) -> None:
    """Run jobs until SIGTERM or SIGINT; running jobs have 20 s to end, or are run again.

    Raises DependencyUnavailable when the database is lost.
    """
    try:
        await app.run_worker_async(
            name="worker",
            concurrency=2,
            # A new job is told at once: this finds only those whose time has come.
            fetch_job_polling_interval=POLL_INTERVAL,
            abort_job_polling_interval=POLL_INTERVAL,
            delete_jobs="successful",
            shutdown_graceful_timeout=20,
            additional_context={"tools": tools},
        )
    except ConnectorException as exc:
        raise DependencyUnavailable("the worker has lost the database") from exc


@jobs.periodic(cron="* * * * *")
@jobs.task(name="jobs.rescue", pass_context=True, queueing_lock="jobs.rescue")
async def retry_stalled_jobs(context: JobContext, timestamp: int) -> None:  # noqa: ARG001 (procrastinate's)
    """Retry jobs of dead workers (no heartbeat for 30 s)."""
    manager = context.app.job_manager
    for job in await manager.get_stalled_jobs():
        await manager.retry_job(job)
