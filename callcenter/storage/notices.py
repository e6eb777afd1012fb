"""Notices of PostgreSQL (NOTIFY): to learn of a change when it is committed, not when asking."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

import psycopg
from psycopg import sql

from callcenter.settings import Settings

log = logging.getLogger(__name__)


async def notices(settings: Settings, channel: str, every: float) -> AsyncGenerator[None]:
    """Yield at once, after each notice on `channel`, and at the latest `every` seconds after.

    Many notices may become one. It goes on for ever: while the database is away it yields every
    `every` seconds. Holds one connection of its own, which is closed when the iterator is.
    """
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(
                settings.database,
                autocommit=True,
                connect_timeout=5,
                application_name="callcenter",
                keepalives_idle=15,
            ) as connection:
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                while True:
                    yield  # what was changed before LISTEN was not told, so the first is at once
                    async with aclosing(connection.notifies(timeout=every, stop_after=1)) as told:
                        async for _ in told:
                            pass
        except psycopg.OperationalError as exc:
            log.error("changes on %s are not told: %s", channel, type(exc).__name__)
        yield
        await asyncio.sleep(every)
