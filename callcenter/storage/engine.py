"""PostgreSQL: the engine of a process, and the unit of work."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

from psycopg.errors import UndefinedTable
from sqlalchemy import URL, exc, make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from callcenter.errors import NotReady
from callcenter.settings import Settings

Result = TypeVar("Result")

POOL_SIZE = 10

# The server itself ends what hangs, in milliseconds: a lost client must not hold a lock for ever.
SERVER_LIMITS = (
    "-c statement_timeout=15000 -c lock_timeout=5000 -c idle_in_transaction_session_timeout=30000"
)

CONNECT_ARGUMENTS: dict[str, str | int] = {
    "connect_timeout": 5,
    "application_name": "callcenter",
    "keepalives_idle": 15,
    "tcp_user_timeout": 10_000,
}


def database_address(settings: Settings) -> URL:
    """The database of the settings as SQLAlchemy wants it: the driver is psycopg 3."""
    return make_url(settings.database).set(drivername="postgresql+psycopg")


def open_database(settings: Settings) -> AsyncEngine:
    """The engine of this process; no connection is made yet. `await engine.dispose()` at the end.

    At most 10 connections; a statement runs 15 s at most and waits 5 s at most for a lock.
    """
    return create_async_engine(
        database_address(settings),
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=5,
        pool_pre_ping=True,
        hide_parameters=True,  # callers' numbers do not belong into messages and logs
        connect_args=CONNECT_ARGUMENTS | {"options": SERVER_LIMITS},
    )


#: The transaction that this task is in as a whole, and the engine that it is of.
_whole: ContextVar[tuple[AsyncEngine, AsyncConnection] | None] = ContextVar("whole", default=None)


@asynccontextmanager
async def unit_of_work(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """One transaction: committed at the end, rolled back on any exception, cancellation included.

    Within `as_a_whole` it is a part of that one. Raises NotReady when the database cannot be
    reached within 5 seconds.
    """
    whole = _whole.get()
    if whole is not None and whole[0] is engine:
        async with whole[1].begin_nested():
            yield whole[1]
        return
    try:
        connection = await engine.connect()
    except (exc.OperationalError, exc.TimeoutError) as error:
        raise NotReady(
            f"cannot reach the database ({_reason(error)}): start it or correct its URL"
        ) from error
    try:
        async with connection.begin():
            yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def as_a_whole(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A unit of work that all units begun within the block are part of: kept together, or none is.

    For the task that enters it: let it start no others that use the database.
    """
    async with unit_of_work(engine) as connection:
        token = _whole.set((engine, connection))
        try:
            yield connection
        finally:
            _whole.reset(token)


class Transaction(Protocol):
    """One that is open. What writes many rows in one statement is given this.

    `within` makes one of a connection, `storage.direct` one that costs less.
    """

    connection: AsyncConnection  #: for what is written seldom, by SQLAlchemy

    async def run(self, statement: str, **values: object) -> list[tuple[Any, ...]]:
        """The rows that it returns, if any; parameters are written `%(name)s`."""


def within(connection: AsyncConnection) -> Transaction:
    """The transaction that this connection is in; errors are SQLAlchemy's."""
    return _Within(connection)


class _Within:
    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection

    async def run(self, statement: str, **values: object) -> list[tuple[Any, ...]]:
        result = await self.connection.exec_driver_sql(statement, values)
        return [tuple(row) for row in result] if result.returns_rows else []


def as_json(rows: Sequence[Mapping[str, object]]) -> str:
    """Many rows as one parameter, for jsonb_to_recordset: whatever their number, one statement."""
    return json.dumps(rows, default=str)


async def once(settings: Settings, work: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
    """Do `work` in one transaction of a database that is opened for it: for commands.

    Raises as `opened` does.
    """
    async with opened(settings) as engine, unit_of_work(engine) as connection:
        return await work(connection)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """An engine for the block: for commands.

    Raises NotReady when the database cannot be reached or has no tables yet.
    """
    engine = open_database(settings)
    try:
        yield engine
    except exc.ProgrammingError as error:
        if isinstance(error.orig, UndefinedTable):
            raise NotReady("the database has no tables yet: run `callcenter migrate`") from error
        raise
    finally:
        await engine.dispose()


def _reason(error: exc.OperationalError | exc.TimeoutError) -> str:
    """One line that says why the database was not reached, without what was sent to it."""
    origin = error.orig if isinstance(error, exc.OperationalError) else error
    return str(origin).strip().partition("\n")[0]
