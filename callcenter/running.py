"""A controller as a process: what it opens, and what is told of it while it runs."""

import asyncio
import gc

from callcenter.app import Controller
from callcenter.settings import Settings
from callcenter.storage.engine import open_database
from callcenter.storage.redis import open_redis
from callcenter.up import notify
from callcenter.up.observed import metrics_port, observed


async def run_line(settings: Settings, name: str, stop: asyncio.Event) -> None:
    """Answer calls as the controller `name` until `stop` is set.

    Raises NotReady when prompts, database or switch are not there at the start.
    """
    engine, redis = open_database(settings), open_redis(settings)
    try:
        controller = Controller(settings, name, engine, redis)
        told = controller.figures()
        async with (
            observed(metrics_port(settings, name), told.figures, told.needs),
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(controller.run(stop))
            await controller.ready.wait()
            # What is here now stays: collections that look at it stop calls for 60 ms.
            gc.collect()
            gc.freeze()
            notify.ready(f"{name} answers calls")
    finally:
        await redis.aclose()
        await engine.dispose()
