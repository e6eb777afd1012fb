"""`callcenter watchdog`: hands callers to the fallback when no controller is alive."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import click
import uvloop
from redis.asyncio import Redis

from callcenter.launcher import sd_notify
from callcenter.launcher.watchdog_metrics import WatchdogMetrics
from callcenter.platform.core.log_files import keep_bounded
from callcenter.platform.core.secrets import read_secret
from callcenter.platform.core.settings import Settings, read_settings
from callcenter.platform.monitoring.metrics_server import metrics_port, serve_metrics
from callcenter.platform.storage.redis import open_redis
from callcenter.platform.storage.redis_users import RedisUser, as_redis_user
from callcenter.telephony.asterisk.ami import Ami
from callcenter.telephony.asterisk.cluster.fallback_leases import FallbackLeases
from callcenter.telephony.asterisk.cluster.sentinel import watched_by_sentinel
from callcenter.telephony.asterisk.cluster.watchdog import Watchdog
from callcenter.telephony.reconciliation.cel_rotation import keep_rotating


@click.command()
def command() -> None:
    """Watch over one Asterisk: one watchdog for each. Stops gracefully on SIGTERM.

    When no controller is alive, waiting callers are given to the fallback dialplan within five
    seconds; conversations go on. It needs neither PostgreSQL nor Redis; with Redis and a controller
    callers in the fallback get consultants whom the distributor leases to them.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    uvloop.run(_run())


async def _run() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    settings = as_redis_user(read_settings(), RedisUser.WATCHDOG)
    watchdog = Watchdog(settings, read_secret(settings.secrets_folder, "ari"), sd_notify.alive)
    metrics = WatchdogMetrics(watchdog)
    port = metrics_port(settings, "watchdog")
    async with (
        serve_metrics(port, metrics.figures, metrics.needs),
        watched_by_sentinel(watchdog.membership.path),
        open_redis(settings) as redis,
        _lease_for_fallback(settings, watchdog, redis),
        asyncio.TaskGroup() as tasks,
    ):
        watching = tasks.create_task(watchdog.run(stop))
        keepers = [
            tasks.create_task(keep_bounded(settings.asterisk_folder / "log")),
            tasks.create_task(keep_rotating(settings)),
        ]
        watching.add_done_callback(lambda _: [each.cancel() for each in keepers])
        await watchdog.ready.wait()
        sd_notify.ready("it watches over callers")


@asynccontextmanager
async def _lease_for_fallback(
    settings: Settings, watchdog: Watchdog, redis: Redis
) -> AsyncIterator[None]:
    """Lease consultants to callers in the fallback within the block, while Redis is there."""
    ami = Ami(
        port=settings.ami_port,
        secret=read_secret(settings.secrets_folder, "ami"),
    )
    leases = FallbackLeases(redis, watchdog.ari, ami, settings, settings.ring_timeout)
    async with ami:
        leasing = asyncio.create_task(leases.run())
        try:
            yield
        finally:
            leasing.cancel()
            await asyncio.gather(leasing, return_exceptions=True)
