"""Background jobs (procrastinate): they live in PostgreSQL, beside what they are about.

A room declares its tasks in its `jobs.py` with `@jobs.task(name="<room>.<what>", ...)`; the worker
imports those modules. A change and the job that it needs go into one transaction (`enqueue`), so
that neither is ever without the other.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from procrastinate import App, JobContext, PsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from procrastinate.types import JSONValue
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.errors import NotReady
from callcenter.settings import Settings
from callcenter.storage.engine import CONNECT_ARGUMENTS

# This connector is never opened: `enqueue` writes through connections of others, and a worker
# brings its own (see `connected`).
jobs = App(connector=PsycopgConnector())


@dataclass(frozen=True, slots=True)
class Tools:
    """What a worker lends to every job."""

    settings: Settings
    engine: AsyncEngine


def tools_of(context: JobContext) -> Tools:
    """What the worker lent to this job (the task asks for it with `pass_context=True`)."""
    tools: Tools = context.additional_context["tools"]
    return tools


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[App]:
    """The application of jobs with connections of its own, as a worker needs it.

    Raises NotReady when the database cannot be reached within 5 seconds or was not migrated.
    """
    connector = PsycopgConnector(
        conninfo=settings.database, kwargs=CONNECT_ARGUMENTS, min_size=1, max_size=4, timeout=5
    )
    with jobs.replace_connector(connector):
        try:
            await connector.open_async()
            migrated = await jobs.check_connection_async()
        except ConnectorException as exc:
            await connector.close_async()
            raise NotReady("cannot reach the database: start it") from exc
        try:
            if not migrated:
                raise NotReady("the database has no jobs yet: run `callcenter migrate`")
            yield jobs
        finally:
            await connector.close_async()


async def enqueue(connection: AsyncConnection, task: str, **arguments: JSONValue) -> None:
    """Enqueue a job in the transaction of `connection`: it exists if and when that commits.

    `task` is the name of a task, `<room>.<what>`; arguments are what JSON can hold.
    """
    raw = await connection.get_raw_connection()
    deferrer = jobs.configure_task(task, connection=raw.driver_connection)
    await deferrer.defer_async(**arguments)


async def enqueue_once(connection: AsyncConnection, task: str) -> None:
    """As `enqueue`; nothing, when it waits to be done already.

    Raises NotReady when the database is lost.
    """
    await _enqueue_one(connection, task, task, datetime.now(UTC))


async def enqueue_after(connection: AsyncConnection, task: str, rest: timedelta) -> None:
    """As `enqueue`, to be done `rest` from now at the earliest, twice that at the latest.

    All who ask within the same stretch of that length have one job together; whoever asks later
    has the next one, so that none is done too early for anybody. Raises NotReady when the database
    is lost.
    """
    await _enqueue_one(connection, task, *stretch(task, rest, datetime.now(UTC)))


def stretch(task: str, rest: timedelta, now: datetime) -> tuple[str, datetime]:
    """The name of the job of all who ask as now, and when it is to be done."""
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
        raise NotReady(f"cannot enqueue {task}: the database fails") from exc


async def work(app: App, tools: Tools) -> None:
    """Do jobs until SIGTERM or SIGINT: jobs that run then have 20 s to end, or are done again.

    Raises NotReady when the database is lost.
    """
    try:
        await app.run_worker_async(
            name="worker",
            concurrency=2,
            delete_jobs="successful",
            shutdown_graceful_timeout=20,
            additional_context={"tools": tools},
        )
    except ConnectorException as exc:
        raise NotReady("the worker has lost the database") from exc


@jobs.periodic(cron="* * * * *")
@jobs.task(name="jobs.rescue", pass_context=True, queueing_lock="jobs.rescue")
async def rescue(context: JobContext, timestamp: int) -> None:  # noqa: ARG001 (procrastinate's)
    """Give jobs of workers that died (no heartbeat for 30 s) to those that live."""
    manager = context.app.job_manager
    for job in await manager.get_stalled_jobs():
        await manager.retry_job(job)
