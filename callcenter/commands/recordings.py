"""`callcenter recordings`: verify the sealed store, adopt from it, handle the quarantine."""

import asyncio
from datetime import UTC, date, datetime
from uuid import UUID

import click
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.settings import Settings, read_settings
from callcenter.platform.identity.actor import Actor
from callcenter.platform.storage.engine import run_once_in_transaction, temporary_engine
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.recordings import jobs
from callcenter.recordings.sealing import quarantine, quarantine_store
from callcenter.telephony.reconciliation import orphaned_files, orphaned_objects


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
        raise OperationFailed(f"{left} recordings are wrong: see docs/operations/failures.md")
    click.echo("every recording opens, as it was sealed")


@command.command()
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d"]),
    required=True,
    help="The day (UTC) to which the database went back, such as 2026-11-27.",
)
def adopt(since: datetime) -> None:
    """Enter sealed recordings whose row was lost, as after a failover or a restore.

    Each says itself to which call it belongs. Exit status 1 when that cannot be proved of one.
    """
    left = 0
    for name, appeal_id, why in asyncio.run(_adopt(read_settings(), since.date())):
        click.echo(f"{name}  {why or f'ADOPTED: appeal {appeal_id}'}")
        left += appeal_id is None
    if left:
        raise OperationFailed(
            f"{left} objects belong to no recording: see docs/operations/failures.md"
        )
    click.echo("every recording of the store is in the register")


@command.command("aside")
def list_quarantined() -> None:
    """List the quarantine: recordings that failed or have another length, files of no call.

    Exit status 1 when there are any. Nothing of them is ever removed. Recordings are listed, and
    supervisors alerted every day, until `dealt-with` says what became of them; a file, until it is
    moved away.
    """
    settings = read_settings()
    lines = asyncio.run(
        run_once_in_transaction(settings, lambda connection: _list(connection, settings))
    )
    for line in lines:
        click.echo(line)
    if lines:
        raise OperationFailed(
            f"{len(lines)} recordings are in quarantine: see docs/operations/failures.md"
        )
    click.echo("no recording is in quarantine")


@command.command("dealt-with")
@click.argument("recording_ids", metavar="ID...", type=click.UUID, nargs=-1, required=True)
@click.option("--reason", required=True, help="What became of them, for the audit log.")
def resolve(recording_ids: tuple[UUID, ...], reason: str) -> None:
    """Take recordings out of quarantine. Their files stay where they are."""
    actor = Actor.of_command()
    asyncio.run(
        run_once_in_transaction(
            read_settings(),
            lambda connection: quarantine.resolve(connection, actor, set(recording_ids), reason),
        )
    )
    click.echo(f"{len(set(recording_ids))} are not in quarantine any more")


async def _adopt(settings: Settings, since: date) -> list[orphaned_objects.Adoption]:
    async with temporary_engine(settings) as engine:
        tools = WorkerResources(settings, engine)
        return await orphaned_objects.adopt_since(tools, since, Actor.of_command())


async def _list(connection: AsyncConnection, settings: Settings) -> list[str]:
    rows = await quarantine_store.list_quarantined(connection)
    files = await orphaned_files.find(connection, settings.spool, datetime.now(UTC))
    return [f"{row.id}  {row.state:<7} {row.spool_name}  {row.why}" for row in rows] + [
        f"{'-':<36}  foreign {file.name}  it belongs to no call" for file in files
    ]


async def _verify(
    settings: Settings, sample: int | None, *, mending: bool
) -> list[tuple[UUID, str, bool]]:
    """The faults by recording, and whether each was repaired."""
    async with temporary_engine(settings) as engine:
        found = await jobs.verify(
            engine,
            settings,
            sample=sample,
            progress=lambda checked, total: click.echo(f"{checked} of {total} checked", err=True),
        )
        results = []
        for recording_id, why in found.items():
            mended = False
            if mending:
                try:
                    await jobs.repair(engine, settings, recording_id)
                    mended = True
                except OperationFailed as exc:
                    why = f"{why}; cannot be mended: {exc}"
            results.append((recording_id, why, mended))
        return results
