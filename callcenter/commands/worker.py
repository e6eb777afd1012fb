"""`callcenter worker`: do the work that is due."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import click

# Importing a room's jobs is what makes the worker know them.
import callcenter.audit.jobs
import callcenter.demands.jobs
import callcenter.ledger.jobs
import callcenter.live.jobs
import callcenter.recordings.jobs
import callcenter.register.jobs
import callcenter.worker.nightly
import callcenter.worker.waiting_recordings  # noqa: F401
from callcenter.consultants.duty import DutyDesk
from callcenter.consultants.jobs import keep_history
from callcenter.controller.writing import inherit_journals
from callcenter.figures import WorkerFigures
from callcenter.recordings.keeping import Keeper
from callcenter.settings import Settings, read_settings
from callcenter.storage.engine import open_database
from callcenter.storage.jobs import Tools, connected, work
from callcenter.storage.redis import open_redis
from callcenter.up.notify import ready
from callcenter.up.observed import observed
from callcenter.worker.audio_keeping import AudioKeeper


@click.command("worker")
def command() -> None:
    """Do the work that is due: recordings, deadlines, reminders. Ends on SIGTERM."""
    asyncio.run(_serve(read_settings()))


async def _serve(settings: Settings) -> None:
    engine, redis = open_database(settings), open_redis(settings)
    try:
        told = WorkerFigures(settings, engine, redis)
        async with (
            observed(settings.metrics_port, told.figures, told.needs),
            connected(settings) as app,
        ):
            ready("waiting for jobs")
            await _until_one_ends(
                work(app, Tools(settings, engine)),
                keep_history(DutyDesk(redis, settings), engine),
                Keeper(settings, engine).run(),
                inherit_journals(settings, engine),
                AudioKeeper(settings, engine, redis).run(),
            )
    finally:
        await redis.aclose()
        await engine.dispose()


async def _until_one_ends(*labours: Coroutine[Any, Any, None]) -> None:
    """Jobs end on SIGTERM; whatever else ends has failed, and the others must not hide it."""
    tasks = [asyncio.create_task(labour) for labour in labours]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
