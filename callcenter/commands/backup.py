"""`callcenter backup`: make a backup of the whole site, list those that there are."""

import asyncio
from pathlib import Path

import click

import callcenter.bootstrap.rooms  # noqa: F401 - registers them: folders of theirs are in it
from callcenter.backup import place
from callcenter.backup.file_errors import file_errors_named
from callcenter.backup.manifest import Manifest
from callcenter.backup.service import back_up
from callcenter.platform.core.settings import Settings, read_settings
from callcenter.platform.identity.actor import Actor
from callcenter.platform.storage.engine import temporary_engine


@click.group("backup", invoke_without_command=True)
@click.option("--with-store", is_flag=True, help="The recordings themselves too, not their list.")
@click.option(
    "--settings",
    "settings_folder",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="A folder of environment files of units (*.env), to be in it.",
)
@click.option("--list", "is_list", is_flag=True, help="Make none: as `callcenter backup list`.")
@click.pass_context
def command(
    context: click.Context, with_store: bool, settings_folder: Path | None, is_list: bool
) -> None:
    """Make a backup: database, keys, secrets, CEL log, settings, and the list of recordings.

    One archive, encrypted to CALLCENTER_RECOVERY_KEYS, in the place of CALLCENTER_BACKUPS. It was
    read back when this ends. While it is made it needs as much room below CALLCENTER_VAR.
    """
    if context.invoked_subcommand is not None:
        return
    if is_list:
        context.invoke(list_backups)
        return
    with file_errors_named():
        manifest = asyncio.run(_back_up(read_settings(), with_store, settings_folder))
    for line in manifest.describe():
        click.echo(line)


@command.command("list")
def list_backups() -> None:
    """List the backups that there are, the oldest first."""
    for each in place.list_backups(place.open_place(read_settings())):
        click.echo(f"{each.taken_at:%Y-%m-%d %H:%M:%S} UTC  {each.size:>14}  {each.name}")


async def _back_up(settings: Settings, with_store: bool, settings_folder: Path | None) -> Manifest:
    async with temporary_engine(settings) as engine:
        return await back_up(
            settings,
            engine,
            place.open_place(settings),
            Actor.of_command(),
            with_store=with_store,
            say=lambda line: click.echo(line, err=True),
            settings_folder=settings_folder,
        )
