"""`callcenter recordings`: is the store as it was sealed, and what was set aside?"""

import asyncio
from uuid import UUID

import click

from callcenter.errors import WeFailed
from callcenter.recordings import jobs, store
from callcenter.recordings.vault import Vault
from callcenter.settings import Settings, read_settings
from callcenter.storage.engine import once, opened


@click.group("recordings")
def command() -> None:
    """The store of recordings."""


@command.command()
@click.option("--sample", type=click.IntRange(1), help="Only so many, at random.")
def verify(sample: int | None) -> None:
    """Read and open every stored recording. Exit status 1 when one is missing or altered."""
    found = asyncio.run(_verify(read_settings(), sample))
    for recording_id, why in found.items():
        click.echo(f"{recording_id}  {why}")
    if found:
        raise WeFailed(f"{len(found)} recordings are wrong: see docs/operations/failures.md")
    click.echo("every recording opens, as it was sealed")


@command.command()
def aside() -> None:
    """List recordings that failed, or whose length is not that of their conversation.

    Exit status 1 when there are any. Nothing of them is ever removed.
    """
    rows = asyncio.run(once(read_settings(), lambda connection: store.aside(connection)))
    for row in rows:
        click.echo(f"{row.id}  {row.state:<7} {row.spool_name}  {row.why}")
    if rows:
        raise WeFailed(f"{len(rows)} recordings are set aside: see docs/operations/failures.md")
    click.echo("no recording is set aside")


async def _verify(settings: Settings, sample: int | None) -> dict[UUID, str]:
    async with opened(settings) as engine:
        return await jobs.verify(
            engine,
            Vault(settings),
            sample=sample,
            progress=lambda checked: click.echo(f"{checked} checked", err=True),
        )
