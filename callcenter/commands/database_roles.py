"""`callcenter database-roles`: make the database roles of the processes."""

import click

from callcenter.platform.core.settings import read_settings
from callcenter.platform.storage.database_roles import make_roles, statements


@click.command("database-roles")
@click.option("--sql", "is_sql", is_flag=True, help="Print the statements, for a superuser to run.")
@click.option(
    "--new-passwords",
    "replaces_passwords",
    is_flag=True,
    help="Take roles over that another copy of the product made: it loses its access.",
)
def command(is_sql: bool, replaces_passwords: bool) -> None:
    """Make the roles as which controllers, worker and web log in; `migrate` gives them rights.

    For a PostgreSQL of your own, as its owner: `callcenter up` does it for the embedded one. Their
    passwords are made in var/secrets. It may be repeated.
    """
    settings = read_settings()
    if is_sql:
        for statement in statements(settings):
            click.echo(statement)
        return
    made = make_roles(settings, replaces_passwords=replaces_passwords)
    click.echo(f"made: {', '.join(made)}" if made else "all roles are there")
    click.echo("run `callcenter migrate` next: it gives them their rights")
