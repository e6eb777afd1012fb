"""`callcenter watchdog`: brings callers to the fallback when no controller lives."""

import asyncio
import logging
import signal

import click

from callcenter.asterisk.watchdog import Watchdog
from callcenter.secrets import read_secret
from callcenter.settings import read_settings
from callcenter.up import notify
from callcenter.up.observed import metrics_port, observed
from callcenter.up.watchdog_figures import WatchdogFigures


@click.command()
def command() -> None:
    """Leave nobody alone in the switch: one for each Asterisk. Stops in order on SIGTERM.

    When no controller lives, callers who wait are given to the dialplan's fallback within five
    seconds; conversations go on. It needs neither PostgreSQL nor Redis.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    asyncio.run(_run())


async def _run() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    settings = read_settings()
    watchdog = Watchdog(settings, read_secret(settings.secrets_folder, "ari"), notify.alive)
    told = WatchdogFigures(watchdog)
    port = metrics_port(settings, "watchdog")
    async with observed(port, told.figures, told.needs), asyncio.TaskGroup() as tasks:
        tasks.create_task(watchdog.run(stop))
        await watchdog.ready.wait()
        notify.ready("it watches over callers")
