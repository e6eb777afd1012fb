"""`callcenter line`: one controller of live calls."""

import asyncio
import logging
import signal

import click
import uvloop

from callcenter.running import run_line
from callcenter.settings import read_settings


@click.command()
@click.option(
    "--name",
    default="line-1",
    show_default=True,
    help="The controller's name: line- and something; each running controller has its own.",
)
def command(name: str) -> None:
    """Answer calls. Stops in order on SIGTERM and Ctrl-C."""
    if not name.startswith("line-") or not name.isascii() or "," in name or ":" in name:
        raise click.BadParameter("begin it with line-, as in line-1", param_hint="--name")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    uvloop.run(_run(name))


async def _run(name: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await run_line(read_settings(), name, stop)
