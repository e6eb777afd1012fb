"""`callcenter recordings`: is the store as it was sealed, and what was set aside?"""

import asyncio
import getpass
from datetime import UTC, datetime
from uuid import UUID

import click
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.errors import WeFailed
from callcenter.ledger import orphans
from callcenter.recordings import jobs, set_aside
from callcenter.settings import Settings, read_settings
from callcenter.storage.engine import once, opened


@click.group("recordings")
def command() -> None:
    """The store of recordings."""


@command.command()
@click.option("--sample", type=click.IntRange(1), help="Only so many, at random.")
@click.option("--mend", is_flag=True, help="Put the copy in the place of what is wrong, or back.")
def verify(sample: int | None, mend: bool) -> None:
    """Read and open every stored recording, and read its copy in the second store.

    Exit status 1 when one is missing or altered, and was not mended.
    """
    left = 0
    for recording_id, why, mended in asyncio.run(_verify(read_settings(), sample, mending=mend)):
        click.echo(f"{recording_id}  {why}{'  MENDED' if mended else ''}")
        left += not mended
    if left:
        raise WeFailed(f"{left} recordings are wrong: see docs/operations/failures.md")
    click.echo("every recording opens, as it was sealed")


@command.command()
def aside() -> None:
    """List recordings that failed, or whose length is not that of their conversation; and what
    lies among the recorded files and belongs to no call.

    Exit status 1 when there are any. Nothing of them is ever removed. Recordings are listed, and
    supervisors alarmed every day, until somebody says by `dealt-with` what became of them; a file,
    until it is moved away.
    """
    settings = read_settings()
    lines = asyncio.run(once(settings, lambda connection: _aside(connection, settings)))
    for line in lines:
        click.echo(line)
    if lines:
        raise WeFailed(f"{len(lines)} recordings are set aside: see docs/operations/failures.md")
    click.echo("no recording is set aside")


@command.command("dealt-with")
@click.argument("recording_ids", metavar="ID...", type=click.UUID, nargs=-1, required=True)
@click.option("--reason", required=True, help="What became of them, for the audit log.")
def dealt_with(recording_ids: tuple[UUID, ...], reason: str) -> None:
    """Say that somebody saw to recordings that were set aside. Their files stay where they are."""
    who = f"system:{getpass.getuser()}"
    asyncio.run(
        once(
            read_settings(),
            lambda connection: set_aside.deal_with(connection, set(recording_ids), who, reason),
        )
    )
    click.echo(f"{len(set(recording_ids))} are set aside no more")


async def _aside(connection: AsyncConnection, settings: Settings) -> list[str]:
    rows = await set_aside.aside(connection)
    files = await orphans.find(connection, settings.spool, datetime.now(UTC))
    return [f"{row.id}  {row.state:<7} {row.spool_name}  {row.why}" for row in rows] + [
        f"{'-':<36}  foreign {file.name}  it belongs to no call" for file in files
    ]


async def _verify(
    settings: Settings, sample: int | None, *, mending: bool
) -> list[tuple[UUID, str, bool]]:
    """What is wrong with which recording, and whether it was mended."""
    async with opened(settings) as engine:
        found = await jobs.verify(
            engine,
            settings,
            sample=sample,
            progress=lambda checked, total: click.echo(f"{checked} of {total} checked", err=True),
        )
        told = []
        for recording_id, why in found.items():
            mended = False
            if mending:
                try:
                    await jobs.mend(engine, settings, recording_id)
                    mended = True
                except WeFailed as exc:
                    why = f"{why}; cannot be mended: {exc}"
            told.append((recording_id, why, mended))
        return told
