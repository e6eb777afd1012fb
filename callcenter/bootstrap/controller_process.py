"""Run a controller as a process: open its servers, expose its metrics, report readiness."""

import asyncio
import gc

from callcenter.bootstrap.controller import ControllerProcess
from callcenter.launcher import sd_notify
from callcenter.platform.core.settings import Settings
from callcenter.platform.monitoring.metrics_server import metrics_port, serve_metrics
from callcenter.platform.storage.engine import open_database
from callcenter.platform.storage.redis import open_redis, refuse_eviction
from callcenter.telephony.asterisk.cluster.sentinel import watched_by_sentinel


async def run_controller(settings: Settings, name: str, stop: asyncio.Event) -> None:
    """Answer calls as the controller `name` until `stop` is set.

    Raises DependencyUnavailable when prompts, database or switch are not there at the start, or
    Redis evicts keys.
    """
    engine, redis = open_database(settings), open_redis(settings)
    try:
        await refuse_eviction(redis)
        controller = ControllerProcess(settings, name, engine, redis)
        metrics = controller.metrics()
        # What is here now stays: collections that look at it, as this one, stop calls for 60 ms.
        gc.collect()
        gc.freeze()
        async with (
            serve_metrics(metrics_port(settings, name), metrics.figures, metrics.needs),
            watched_by_sentinel(controller.node.membership.path),
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(controller.run(stop))
            await controller.ready.wait()
            sd_notify.ready(f"{name} answers calls")
    finally:
        await redis.aclose()
        await engine.dispose()
