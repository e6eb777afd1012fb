"""`callcenter controller`: one controller of live calls."""

import asyncio
import logging
import signal

import click
import uvloop

from callcenter.bootstrap.controller_process import run_controller
from callcenter.platform.core.settings import read_settings
from callcenter.platform.storage.database_roles import DatabaseRole, in_role
from callcenter.platform.storage.redis_users import RedisUser, as_redis_user


@click.command()
@click.option(
    "--name",
    default="line-1",
    show_default=True,
    help="The controller's name: line- and something; each running controller has its own.",
)
def command(name: str) -> None:
    """Answer calls. Stops gracefully on SIGTERM and Ctrl-C."""
    if not name.startswith("line-") or not name.isascii() or "," in name or ":" in name:
        raise click.BadParameter("begin it with line-, as in line-1", param_hint="--name")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    uvloop.run(_run(name))


async def _run(name: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    settings = in_role(read_settings(), DatabaseRole.CONTROLLER)
    await run_controller(as_redis_user(settings, RedisUser.CONTROLLER), name, stop)
