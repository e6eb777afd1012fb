"""Listens to notifications of PostgreSQL (LISTEN/NOTIFY), sent when a change commits."""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

import psycopg
from psycopg import sql
from psycopg.abc import PQGen
from psycopg.conninfo import make_conninfo
from sqlalchemy.exc import SQLAlchemyError

from callcenter.platform.core.errors import CallcenterError
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import CONNECT_ARGUMENTS

log = logging.getLogger(__name__)

Result = TypeVar("Result")

#: Seconds after which who waits looks by itself. A notification is lost with its connection alone:
#: that one is dead is found within half a minute (`CONNECT_ARGUMENTS`), and then everybody looks.
REFRESH_INTERVAL = 300.0
RETRY_INTERVAL = 5.0  # seconds between two attempts to connect
LOOK_INTERVAL = 60.0  # seconds after which `follow` acts unasked: some things end without a word
REPEAT_INTERVAL = 1.0  # seconds until what failed is done again: somebody's right may have ended
LOG_INTERVAL = 60.0  # seconds until a fault that lasts is logged again
REST_INTERVAL = 0.1  # seconds between two acts: many notifications at once are one
IDLE_INTERVAL = 60.0  # seconds; what the server says ends a wait at once


class ListeningConnection(psycopg.AsyncConnection[Any]):
    """A connection on which a process waits for the server without turning its loop.

    psycopg interrupts its waits ten times a second, to notice Ctrl-C. An event loop notices it.
    """

    async def wait(
        self, gen: PQGen[Result], interval: float = IDLE_INTERVAL, timeout: float | None = None
    ) -> Result:
        return await super().wait(gen, interval, timeout)


class Subscription:
    """The notifications on one channel, for one that waits for them: several may become one."""

    def __init__(self) -> None:
        self._notified = asyncio.Event()

    def notify(self) -> None:
        """Have the wait end, this one or the next."""
        self._notified.set()

    async def wait(self, within: float) -> None:
        """Return after a notification since the last wait, or after `within` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._notified.wait()
        self._notified.clear()

    async def follow(
        self, act: Callable[[], Awaitable[None]], fault: str, *, rest: float = REST_INTERVAL
    ) -> None:
        """Act after each notification and every minute, until cancelled.

        What fails is repeated a second later. It is logged as `fault`, with its cause: when it
        begins to fail, when the cause is another, and every minute. `rest` are the seconds between
        two acts at least.
        """
        pause, logged, logged_at = LOOK_INTERVAL, "", -math.inf
        while True:
            await self.wait(pause - rest)
            try:
                await act()
                pause, logged = LOOK_INTERVAL, ""
            except (CallcenterError, SQLAlchemyError, OSError) as exc:
                pause = REPEAT_INTERVAL
                cause = f"{type(exc).__name__}: {exc}"
                if cause != logged or time.monotonic() - logged_at >= LOG_INTERVAL:
                    logged, logged_at = cause, time.monotonic()
                    log.error("%s: %s", fault, cause)
            await asyncio.sleep(rest)


class NotifyListener:
    """One connection of a process, which listens on all its channels. `run` must be running."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._subscriptions: dict[str, list[Subscription]] = {}

    def subscribe(self, channel: str) -> Subscription:
        """Subscribe to a channel, before `run` begins."""
        subscription = Subscription()
        self._subscriptions.setdefault(channel, []).append(subscription)
        return subscription

    async def run(self) -> None:
        """Listen until cancelled; while the database is away nobody is notified.

        Everybody is notified after each connection: a change before was not heard.
        """
        while True:
            try:
                await self._listen()
            except psycopg.OperationalError as exc:
                log.error("notifications lost: %s", type(exc).__name__)
            await asyncio.sleep(RETRY_INTERVAL)

    async def _listen(self) -> None:
        async with await ListeningConnection.connect(
            make_conninfo(self._settings.database, **CONNECT_ARGUMENTS), autocommit=True
        ) as connection:
            for channel in self._subscriptions:
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
            for channel in self._subscriptions:
                self.notify(channel)
            async for notification in connection.notifies():
                self.notify(notification.channel)

    def notify(self, channel: str) -> None:
        """Have all who wait for this channel look at what is there, though nobody changed it."""
        for each in self._subscriptions[channel]:
            each.notify()
