"""Jobs as they stand in the queue: one of every task, and those that calls and people ask for."""

import re
from contextlib import suppress
from datetime import timedelta
from typing import Any

import psycopg
from procrastinate.exceptions import AlreadyEnqueued

from callcenter.commands.worker import load_jobs
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import open_database, unit_of_work
from callcenter.platform.storage.jobs import connected, enqueue, enqueue_after, enqueue_once, jobs

load_jobs()

ROWS = """
    SELECT task_name, args, queueing_lock, lock, queue_name, priority
    FROM procrastinate_jobs ORDER BY task_name, queueing_lock
"""
LIBRARY = ("builtin:", "procrastinate.")  #: what its own tasks begin with
#: What is asked for besides the clock.
ONCE, AFTER, PLAIN = "register.check_attachments", "ledger.check_calls", "recordings.verify"


def names() -> list[str]:
    """The tasks of the product: not those of the library."""
    return sorted(name for name in jobs.tasks if not name.startswith(LIBRARY))


async def queue_every_job(settings: Settings) -> None:
    """As the clock, calls and people do."""
    engine = open_database(settings)
    async with unit_of_work(engine) as connection:
        await enqueue_once(connection, ONCE)
        await enqueue_after(connection, AFTER, timedelta(minutes=5))
        await enqueue(connection, PLAIN, timestamp=1764230400)
    await engine.dispose()
    async with connected(settings) as app:
        for name in names():
            with suppress(AlreadyEnqueued):  # as people have it queued
                await app.configure_task(name).defer_async(timestamp=1764230400)


def queued(connection: psycopg.Connection[Any]) -> list[list[Any]]:
    """Every row of the queue, by task; a time in a lock is no part of it."""
    rows = connection.execute(ROWS)
    return [[*row[:2], _timeless(row[2]), *row[3:]] for row in rows]


def _timeless(lock: str | None) -> str | None:
    return re.sub(r"@[0-9]+$", "@TIME", lock) if lock else lock
