"""`callcenter restore`: bring a site back from a backup, then catch up."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import click
from pyrage import x25519

import callcenter.bootstrap.rooms  # noqa: F401 - registers them: what is masked again is theirs
from callcenter.backup import place, progress, restore
from callcenter.backup.continuity import NotesMissing, NotesUnsigned
from callcenter.backup.file_errors import file_errors_named
from callcenter.backup.recovery import RestoreRequest
from callcenter.launcher.postgres import postgres
from callcenter.launcher.supervisor import LaunchPlan, ProcessSupervisor
from callcenter.platform.core.errors import InvalidRequest, OperationFailed
from callcenter.platform.core.settings import Settings, read_settings
from callcenter.platform.identity.actor import Actor
from callcenter.platform.storage.engine import temporary_engine
from callcenter.platform.storage.jobs import WorkerResources

MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f"])


@click.command("restore")
@click.argument("name", required=False)
@click.option(
    "--identity",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file of the private key that was kept elsewhere (mode 0600).",
)
@click.option(
    "--signed-by",
    "signer",
    metavar="SHA-256",
    help="Of the key of the audit log, as you wrote it down: nobody else's backup is restored.",
)
@click.option(
    "--unsigned-note",
    "unsigned",
    metavar="NAME",
    multiple=True,
    help="Believe this note beside the backups, though another key or none signed it, or go on "
    "without what is missing in it; repeatable.",
)
@click.option(
    "--to",
    "moment",
    type=MOMENT,
    help="That time (UTC), from a base backup and its log; from dumps the newest before it.",
)
@click.option("--check", "is_check", is_flag=True, help="Read all of the backup, restore nothing.")
@click.option(
    "--catch-up", "is_catch_up", is_flag=True, help="Only what came since, of a restored database."
)
def command(
    name: str | None,
    identity: Path | None,
    signer: str | None,
    unsigned: tuple[str, ...],
    moment: datetime | None,
    is_check: bool,
    is_catch_up: bool,
) -> None:
    """Restore backup NAME, else the newest, into an empty database and machine.

    A base backup is brought to the time of --to, else as far as its archived log goes.

    Then calls that Asterisk's log has are entered again, recordings of the store adopted, and what
    was masked or erased since is so again. Exit status 1 when something is left to people.

    Until all is done no process starts. One that was interrupted goes on when it is run again.
    """
    settings = read_settings()
    if is_catch_up:
        keys = [restore.read_identity(identity)] if identity else []
        with file_errors_named():
            asyncio.run(_catch_up(settings, keys, signer, unsigned))
        return
    if identity is None:
        raise InvalidRequest("name the private key that was kept elsewhere by --identity")
    backups = place.open_place(settings)
    moment = moment and moment.replace(tzinfo=UTC)
    name = name or place.newest(backups, moment)
    if is_check:
        for line in restore.check_backup(backups, name, identity, signer).describe():
            click.echo(line)
        return
    key = restore.read_identity(identity)
    with file_errors_named():
        asyncio.run(_restore(settings, RestoreRequest(name, key, signer, unsigned, moment)))


async def _restore(settings: Settings, request: RestoreRequest) -> None:
    async with _database(settings), temporary_engine(settings, is_restoring=True) as engine:
        with progress.exclusive(settings):
            manifest = await restore.restore(settings, engine, request, Actor.of_command(), _say)
            for line in manifest.describe():
                click.echo(line)
            tools = WorkerResources(settings, engine)
            await _finish(tools, [request.identity], request.signer, request.unsigned)


async def _catch_up(
    settings: Settings,
    keys: Sequence[x25519.Identity],
    signer: str | None,
    unsigned: Collection[str],
) -> None:
    async with temporary_engine(settings, is_restoring=True) as engine:
        with progress.exclusive(settings):
            await _finish(WorkerResources(settings, engine), keys, signer, unsigned)


async def _finish(
    tools: WorkerResources,
    keys: Sequence[x25519.Identity],
    signer: str | None,
    unsigned: Collection[str],
) -> None:
    try:
        done = await restore.catch_up(
            tools, Actor.of_command(), keys, signer=signer, unsigned=unsigned
        )
    except (NotesUnsigned, NotesMissing):
        _say("restored, but nothing that came since: no process starts before this was run again")
        raise
    for line in done.describe():
        click.echo(line)
    if not done.is_clean:
        raise OperationFailed("restored, with something left: see docs/operations/backup.md")


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[None]:
    """The embedded server for the block, unless the settings name one.

    Raises InvalidRequest while `callcenter up` runs here.
    """
    if settings.database_url is not None:
        yield
        return
    supervisor = ProcessSupervisor(
        settings, lambda here, context: LaunchPlan([[postgres(here, context)]]), _say
    )
    await supervisor.start()
    try:
        yield
    finally:
        await supervisor.stop()


def _say(line: str) -> None:
    click.echo(line, err=True)
