"""`callcenter worker`: do the work that is due."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import click

# Importing a room's jobs is what makes the worker know them.
import callcenter.ledger.jobs
import callcenter.recordings.jobs  # noqa: F401
from callcenter.consultants.duty import DutyDesk
from callcenter.consultants.jobs import keep_history
from callcenter.settings import Settings, read_settings
from callcenter.storage.engine import open_database
from callcenter.storage.jobs import Tools, connected, work
from callcenter.storage.redis import open_redis
from callcenter.up.notify import ready


@click.command("worker")
def command() -> None:
    """Do the work that is due: recordings, deadlines, reminders. Ends on SIGTERM."""
    asyncio.run(_serve(read_settings()))


async def _serve(settings: Settings) -> None:
    engine, redis = open_database(settings), open_redis(settings)
    try:
        async with connected(settings) as app:
            ready("waiting for jobs")
            history = keep_history(DutyDesk(redis, settings), engine)
            await _while_running(work(app, Tools(settings, engine)), history)
    finally:
        await redis.aclose()
        await engine.dispose()


async def _while_running(
    work: Coroutine[Any, Any, None], beside: Coroutine[Any, Any, None]
) -> None:
    """Until `work` ends, with `beside` under way; what fails in either is raised."""
    tasks = asyncio.create_task(work), asyncio.create_task(beside)
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
