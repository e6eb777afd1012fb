"""PostgreSQL: the engine of a process, and the unit of work."""

import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

import psycopg
from psycopg.errors import CancellationTimeout, UndefinedTable
from pydantic import TypeAdapter
from sqlalchemy import URL, Engine, event, exc, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from callcenter.platform.core.errors import DependencyUnavailable
from callcenter.platform.core.settings import Settings

Result = TypeVar("Result")

POOL_SIZE = 10
CANCEL_TIMEOUT = 1.0  # seconds for the server to take in that a query is cancelled: milliseconds
ROWS = TypeAdapter(Sequence[Mapping[str, Any]])

# The server itself ends what hangs, in milliseconds: a lost client must not hold a lock for ever.
SERVER_LIMITS = (
    "-c statement_timeout=15000 -c lock_timeout=5000 -c idle_in_transaction_session_timeout=30000"
)

CONNECT_ARGUMENTS: dict[str, str | int] = {
    "connect_timeout": 5,
    "application_name": "callcenter",
    # A connection that is dead is found so within half a minute, though nothing is sent on it.
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 10_000,
}

#: A table that a restore makes before all others, and drops when nothing is left to do.
UNFINISHED_RESTORE = "public.unfinished_restore"
IS_UNFINISHED = f"SELECT to_regclass('{UNFINISHED_RESTORE}') IS NOT NULL"
RESTORING = "callcenter restore"  #: the name of sessions of whoever restores


class PooledConnection(psycopg.AsyncConnection[Any]):
    """A connection that is closed when its server does not take in that a query is cancelled.

    psycopg waits for a server that hangs for ten seconds, and a limit of two ended after twelve.
    """

    async def cancel_safe(self, *, timeout: float = CANCEL_TIMEOUT) -> None:
        try:
            await super().cancel_safe(timeout=min(timeout, CANCEL_TIMEOUT))
        except CancellationTimeout:
            self.pgconn.finish()
            raise


class RestoreUnfinished(DependencyUnavailable):
    """A restore into this database is not finished: run the same `callcenter restore` again."""

    exit_status = os.EX_TEMPFAIL


def database_address(settings: Settings) -> URL:
    """The database of the settings as SQLAlchemy wants it: the driver is psycopg 3."""
    return make_url(settings.database).set(drivername="postgresql+psycopg")


def unreachable(error: Exception) -> DependencyUnavailable:
    """DependencyUnavailable for an error of a connection, with the reason in one line."""
    origin = error.orig if isinstance(error, exc.DBAPIError) else error
    reason = str(origin).strip().partition("\n")[0]
    return DependencyUnavailable(
        f"cannot reach the database ({reason}): start it or correct its URL"
    )


def refuse_unfinished_restore(engine: Engine) -> None:
    """Have this engine raise RestoreUnfinished when it connects to a half restored database.

    What such a database has would be served with numbers that were given already, sessions that
    were ended, and personal data that were erased.
    """

    @event.listens_for(engine, "connect")
    def look(connection: DBAPIConnection, _: object) -> None:
        cursor = connection.cursor()
        cursor.execute(IS_UNFINISHED)
        found = cursor.fetchone()
        cursor.close()
        connection.rollback()
        if found == (True,):
            connection.close()  # the pool does not know it yet
            raise RestoreUnfinished


def open_database(settings: Settings, *, is_restoring: bool = False) -> AsyncEngine:
    """The engine of this process; it connects on first use.

    `await engine.dispose()` at the end. At most 10 connections; a statement runs 15 s at most and
    waits 5 s at most for a lock. Only who `is_restoring` connects to a half restored database.
    """
    arguments: dict[str, object] = {
        **CONNECT_ARGUMENTS,
        "options": SERVER_LIMITS,
        "async_creator_fn": PooledConnection.connect,
    }
    if is_restoring:
        arguments["application_name"] = RESTORING
    engine = create_async_engine(
        database_address(settings),
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=5,
        pool_pre_ping=True,
        hide_parameters=True,  # callers' numbers do not belong into messages and logs
        connect_args=arguments,
    )
    if not is_restoring:
        refuse_unfinished_restore(engine.sync_engine)
    return engine


#: The transaction that this task is in as a whole, and the engine that it is of.
_whole: ContextVar[tuple[AsyncEngine, AsyncConnection] | None] = ContextVar("whole", default=None)


@asynccontextmanager
async def unit_of_work(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """One transaction: committed at the end, rolled back on any exception or cancellation.

    Within `joined_unit_of_work` it is a part of that one. Raises DependencyUnavailable when the
    database cannot be reached within 5 seconds, or is half restored.
    """
    whole = _whole.get()
    if whole is not None and whole[0] is engine:
        async with whole[1].begin_nested():
            yield whole[1]
        return
    try:
        connection = await engine.connect()
    except (exc.OperationalError, exc.TimeoutError) as error:
        raise unreachable(error) from error
    try:
        async with connection.begin():
            yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def joined_unit_of_work(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A unit of work that all units within the block join: all commit, or none.

    For the task that enters it: let it start no others that use the database.
    """
    async with unit_of_work(engine) as connection:
        token = _whole.set((engine, connection))
        try:
            yield connection
        finally:
            _whole.reset(token)


class Transaction(Protocol):
    """An open transaction, for statements of many rows.

    `within` makes one of a connection, `storage.pinned_connection` one that costs less.
    """

    connection: AsyncConnection  #: for what is written seldom, by SQLAlchemy

    async def run(self, statement: str, **values: object) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows; parameters are written `%(name)s`."""


def within(connection: AsyncConnection) -> Transaction:
    """The transaction of this connection; errors are SQLAlchemy's."""
    return _Within(connection)


class _Within:
    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection

    async def run(self, statement: str, **values: object) -> list[tuple[Any, ...]]:
        result = await self.connection.exec_driver_sql(statement, values)
        return [tuple(row) for row in result] if result.returns_rows else []


def as_json(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows as one parameter of jsonb_to_recordset: one statement, whatever their number."""
    try:  # a sixth of the time of `json.dumps`, for ids and times above all
        return ROWS.dump_json(rows).decode()
    except ValueError:  # half a surrogate pair: the database says so
        return json.dumps(rows, default=str)


async def run_once_in_transaction(
    settings: Settings, work: Callable[[AsyncConnection], Awaitable[Result]]
) -> Result:
    """Run `work` in one transaction of a temporary engine: for commands.

    Raises as `opened` does.
    """
    async with temporary_engine(settings) as engine, unit_of_work(engine) as connection:
        return await work(connection)


@asynccontextmanager
async def temporary_engine(
    settings: Settings, *, is_restoring: bool = False
) -> AsyncIterator[AsyncEngine]:
    """An engine for the block: for commands.

    Raises DependencyUnavailable when the database cannot be reached, has no tables yet, or is half
    restored unless this `is_restoring`.
    """
    engine = open_database(settings, is_restoring=is_restoring)
    try:
        yield engine
    except exc.ProgrammingError as error:
        if isinstance(error.orig, UndefinedTable):
            raise DependencyUnavailable(
                "the database has no tables yet: run `callcenter migrate`"
            ) from error
        raise
    finally:
        await engine.dispose()
