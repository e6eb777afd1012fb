"""`callcenter worker`: do the work that is due."""

import asyncio
import importlib
from collections.abc import Coroutine
from typing import Any

import click
import uvloop

import callcenter.bootstrap.rooms  # noqa: F401 - registers them
from callcenter.bootstrap.data_secrets import RECORDINGS, ensure_secrets
from callcenter.bootstrap.metrics import WorkerMetrics
from callcenter.launcher.process_secrets import OF_WORKER
from callcenter.launcher.sd_notify import ready
from callcenter.platform.core.registry import offers, registered_rooms
from callcenter.platform.core.settings import Settings, read_settings
from callcenter.platform.monitoring.metrics_server import serve_metrics
from callcenter.platform.storage.database_roles import DatabaseRole, in_role
from callcenter.platform.storage.engine import open_database
from callcenter.platform.storage.jobs import WorkerLoop, WorkerResources, connected, work
from callcenter.platform.storage.redis import open_redis, refuse_eviction
from callcenter.platform.storage.redis_users import RedisUser, as_redis_user


@click.command("worker")
def command() -> None:
    """Do the work that is due: recordings, deadlines, reminders. Ends on SIGTERM."""
    settings = in_role(read_settings(), DatabaseRole.WORKER)
    uvloop.run(serve(as_redis_user(settings, RedisUser.WORKER)))


def load_jobs() -> None:
    """Import what declares the rooms' background jobs, which makes the worker know them."""
    for module in (module for room in registered_rooms() for module in room.jobs):
        importlib.import_module(module)


async def serve(settings: Settings) -> None:
    """Run jobs and the loops of all rooms until SIGTERM; raises what a loop of them raises."""
    load_jobs()
    engine, redis = open_database(settings), open_redis(settings)
    try:
        await refuse_eviction(redis)
        await ensure_secrets(settings, engine, (*OF_WORKER, RECORDINGS))
        metrics = WorkerMetrics(settings, engine, redis)
        async with (
            serve_metrics(settings.metrics_port, metrics.figures, metrics.needs),
            connected(settings) as app,
        ):
            ready("waiting for jobs")
            tools = WorkerResources(settings, engine)
            loops = (loop.run(tools, redis) for loop in offers(WorkerLoop))
            await _until_one_ends(work(app, tools), *loops)
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
