"""`callcenter up`: run every process on this machine until Ctrl-C or SIGTERM."""

import asyncio
import signal
from contextlib import suppress

import click
from sqlalchemy.exc import SQLAlchemyError

from callcenter.launcher import sd_notify
from callcenter.launcher.process_plan import product
from callcenter.launcher.supervisor import ProcessSupervisor
from callcenter.platform.core.errors import CallcenterError
from callcenter.platform.core.settings import Settings, read_settings
from callcenter.platform.identity.invitations import (
    address_of_pages,
    invite_first_administrator,
    link_of,
)
from callcenter.platform.storage.engine import open_database, unit_of_work


@click.command("up")
def command() -> None:
    """Start everything on this machine and keep it running. Ctrl-C stops it gracefully.

    State and logs are under `var` (CALLCENTER_VAR); ports and paths are settings.
    """
    asyncio.run(keep_up())


async def keep_up() -> None:
    """Run the product until a signal stops it. Raises what `ProcessSupervisor.start` raises."""
    stop_requested = asyncio.Event()
    loop = asyncio.get_running_loop()
    # SIGHUP: the terminal was closed.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop_requested.set)
    settings = read_settings()
    supervisor = ProcessSupervisor(settings, product, say)
    starting = asyncio.create_task(supervisor.start())
    stopping = asyncio.create_task(stop_requested.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if starting.done():
        stopping.cancel()
        await starting
        say("callcenter is ready")
        await _say_where_to_begin(settings)
        sd_notify.ready("callcenter is ready")
        await stop_requested.wait()
        say("stopping")
        await supervisor.stop()
    else:
        say("stopping")
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
    say("stopped")


async def _say_where_to_begin(settings: Settings) -> None:
    """Print the address of the pages; while there is no administrator, the link to become one."""
    say(f"pages: {address_of_pages(settings)}")
    engine = open_database(settings)
    try:
        async with unit_of_work(engine) as connection:
            token = await invite_first_administrator(connection)
    except (CallcenterError, SQLAlchemyError) as exc:
        say(f"whether there is an administrator is not known ({exc}): `callcenter users list`")
        return
    finally:
        await engine.dispose()
    if token is not None:
        say("there is no administrator yet; who opens this link, good once, becomes the first:")
        say(link_of(settings, token))


def say(line: str) -> None:
    """Print a line; a closed terminal is no error."""
    with suppress(OSError):
        click.echo(line)
