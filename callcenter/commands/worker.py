"""`callcenter worker`: do the work that is due."""

import asyncio

import click

# Importing a room's jobs is what makes the worker know them.
import callcenter.ledger.jobs
import callcenter.recordings.jobs  # noqa: F401
from callcenter.settings import Settings, read_settings
from callcenter.storage.engine import open_database
from callcenter.storage.jobs import Tools, connected, work
from callcenter.up.notify import ready


@click.command("worker")
def command() -> None:
    """Do the work that is due: recordings, deadlines, reminders. Ends on SIGTERM."""
    asyncio.run(_serve(read_settings()))


async def _serve(settings: Settings) -> None:
    engine = open_database(settings)
    try:
        async with connected(settings) as app:
            ready("waiting for jobs")
            await work(app, Tools(settings, engine))
    finally:
        await engine.dispose()
