"""`callcenter render`: write Asterisk's configuration from templates and consultants."""

import asyncio
import sys

import click

from callcenter.bootstrap.softphone_provisioning import render_asterisk, sip_accounts
from callcenter.platform.core.settings import read_settings
from callcenter.telephony.asterisk.config.renderer import RELOADS, changes, render


@click.command()
@click.option("--check", is_flag=True, help="Only show what would change; exit status 1 if so.")
@click.option("--reload", is_flag=True, help="Let a running Asterisk take the changes over.")
def command(check: bool, reload: bool) -> None:
    """Write Asterisk's configuration."""
    settings = read_settings()
    if check:
        difference = changes(settings, render(settings, asyncio.run(sip_accounts(settings))))
        click.echo(difference, nl=False)
        sys.exit(1 if difference else 0)
    changed = asyncio.run(render_asterisk(settings, reload=reload))
    click.echo(f"written: {', '.join(changed)}" if changed else "nothing to change")
    if reload and set(changed) - set(RELOADS):
        click.echo("restart Asterisk to use: " + ", ".join(sorted(set(changed) - set(RELOADS))))
