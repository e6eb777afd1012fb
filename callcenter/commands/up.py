"""`callcenter up`: everything on this machine, kept running until Ctrl-C or SIGTERM."""

import asyncio
import signal
from contextlib import suppress

import click

from callcenter.settings import read_settings
from callcenter.up import notify
from callcenter.up.product import product
from callcenter.up.supervisor import Supervisor


@click.command("up")
def command() -> None:
    """Start everything on this machine and keep it running. Ctrl-C stops it, in order.

    State and logs are under `var` (CALLCENTER_VAR); ports and paths are settings.
    """
    asyncio.run(keep_up())


async def keep_up() -> None:
    """Run the product until a signal says stop. Raises what `Supervisor.start` raises."""
    asked_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    # SIGHUP: the terminal was closed.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, asked_to_stop.set)
    supervisor = Supervisor(read_settings(), product, say)
    starting = asyncio.create_task(supervisor.start())
    stopping = asyncio.create_task(asked_to_stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if starting.done():
        stopping.cancel()
        await starting
        say("callcenter is ready")
        notify.ready("callcenter is ready")
        await asked_to_stop.wait()
        say("stopping")
        await supervisor.stop()
    else:
        say("stopping")
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
    say("stopped")


def say(line: str) -> None:
    """To the terminal; a terminal that is gone must not take the product with it."""
    with suppress(OSError):
        click.echo(line)
