"""Copy of rows in the memory of a process, read anew whenever a change notifies it."""

import asyncio
import logging
from abc import ABC, abstractmethod

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.notify_listener import REFRESH_INTERVAL, NotifyListener

log = logging.getLogger(__name__)

REREAD_INTERVAL = 30.0  # seconds until what could not be read is read again


class NotifiedCache(ABC):
    """A copy of rows; `run` must be running.

    While the database is unavailable the previous copy is served.
    """

    subject: str  #: what it is a copy of, for the log
    rest_interval = 0.0  # seconds between two readings at least, however many changes there are

    def __init__(self, engine: AsyncEngine, listener: NotifyListener, channel: str) -> None:
        self.first_read = asyncio.Event()  #: set after the first attempt
        self._engine = engine
        self._changes = listener.subscribe(channel)

    async def run(self) -> None:
        """Read at once, after each change, and every five minutes, until cancelled."""
        while True:
            pause = REREAD_INTERVAL
            try:
                async with unit_of_work(self._engine) as connection:
                    await self.read(connection)
                pause = REFRESH_INTERVAL
            except (OperationFailed, SQLAlchemyError, OSError) as exc:
                log.error(
                    "refresh of %s failed, serving the previous copy: %s",
                    self.subject,
                    type(exc).__name__,
                )
            self.first_read.set()
            await asyncio.sleep(self.rest_interval)
            await self._changes.wait(pause)

    @abstractmethod
    async def read(self, connection: AsyncConnection) -> None:
        """Replace the copy by what the database has. Raises SQLAlchemyError."""


async def notify(connection: AsyncConnection, channel: str) -> None:
    """Notify those who listen on this channel, when the transaction commits."""
    await connection.execute(select(func.pg_notify(channel, "")))
