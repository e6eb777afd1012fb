"""One connection outside the pool, for the journal of calls, which writes all the time.

Statements go to psycopg directly. Through the pool and SQLAlchemy a batch costs three times the
CPU: a ping, a context for each statement, a greenlet for each step (docs/performance.md).
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.platform.storage.engine import Transaction


class PinnedConnection:
    """A connection kept between transactions and renewed after any fault.

    One task uses it at a time.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._connection: AsyncConnection | None = None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """One transaction: committed at the end, rolled back on any exception.

        Raises psycopg.Error, or SQLAlchemyError for what goes through `connection`.
        """
        try:
            if self._connection is None:
                self._connection = await self._engine.connect()
            raw = await self._connection.get_raw_connection()
            async with self._connection.begin():
                yield _Direct(self._connection, raw.driver_connection)
        except BaseException:
            if self._connection is not None:  # whatever state it is in, the server rolls back
                await self._connection.invalidate()
            await self.close()
            raise

    async def close(self) -> None:
        """Close the connection; the next transaction opens it again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


class _Direct:
    def __init__(self, connection: AsyncConnection, driver: Any) -> None:
        self.connection = connection
        self._cursor = driver.cursor()

    async def run(self, statement: str, **values: object) -> list[tuple[Any, ...]]:
        await self._cursor.execute(statement, values)
        return await self._cursor.fetchall() if self._cursor.description else []
