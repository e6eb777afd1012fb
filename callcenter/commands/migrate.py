"""`callcenter migrate`: bring the database to this version."""

import click

from callcenter.settings import read_settings
from callcenter.storage.migrate import migrate


@click.command("migrate")
def command() -> None:
    """Bring the database to this version. Does nothing when it is there already."""
    migrate(read_settings())
    click.echo("the database is at this version")
