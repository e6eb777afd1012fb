"""`callcenter render`: write Asterisk's configuration from the templates and the consultants."""

import asyncio
import sys

import click
from sqlalchemy.exc import ProgrammingError

from callcenter.asterisk.render import RELOADS, SipAccount, apply, changes, render, turn
from callcenter.consultants.store import active
from callcenter.errors import NotReady
from callcenter.settings import Settings, read_settings
from callcenter.storage.engine import open_database, unit_of_work


@click.command()
@click.option("--check", is_flag=True, help="Only show what would change; exit status 1 if so.")
@click.option("--reload", is_flag=True, help="Let a running Asterisk take the changes over.")
def command(check: bool, reload: bool) -> None:
    """Write Asterisk's configuration."""
    settings = read_settings()
    if check:
        difference = changes(settings, render(settings, asyncio.run(_accounts(settings))))
        click.echo(difference, nl=False)
        sys.exit(1 if difference else 0)
    changed = asyncio.run(_apply(settings, reload))
    click.echo(f"written: {', '.join(changed)}" if changed else "nothing to change")
    if reload and set(changed) - set(RELOADS):
        click.echo("restart Asterisk to use: " + ", ".join(sorted(set(changed) - set(RELOADS))))


async def _apply(settings: Settings, reload: bool) -> list[str]:
    async with turn(settings):
        return await apply(settings, await _accounts(settings), reload)


async def _accounts(settings: Settings) -> list[SipAccount]:
    engine = open_database(settings)
    try:
        async with unit_of_work(engine) as connection:
            consultants = await active(connection)
    except ProgrammingError as exc:
        raise NotReady("the database has no consultants yet: run `callcenter migrate`") from exc
    finally:
        await engine.dispose()
    return [SipAccount(each.extension, each.digest) for each in consultants]
