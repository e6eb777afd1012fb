"""`callcenter check`: is this copy fit to serve, and if not, what is to be done."""

import asyncio
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click
import psutil
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.asterisk.program import find_asterisk
from callcenter.asterisk.render import changes, render
from callcenter.consultants import store as consultants
from callcenter.errors import AskedWrongly, CallcenterError, WeFailed
from callcenter.ledger import orphans
from callcenter.ledger.differences import ZONE, Difference
from callcenter.ledger.jobs import CHECKED, SETTLED, check_calls
from callcenter.line.backlog import set_aside, waiting
from callcenter.line.prompts import Prompts
from callcenter.settings import Settings, read_settings
from callcenter.softphones import sip_accounts
from callcenter.storage.engine import once, opened
from callcenter.storage.jobs import Tools
from callcenter.storage.objects import Objects
from callcenter.storage.redis import open_redis
from callcenter.up.confinement import can_confine

MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M"])
EARLIEST = datetime(2020, 1, 1, tzinfo=UTC)  # before any call of ours
IN_MEMORY = {"tmpfs", "ramfs"}
ENOUGH = 2 * 1024**3  # bytes: about three days of recordings at 6 000 calls a day


@click.group("check", invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """Tell whether this copy is fit to serve. Exit status 1 when something must be done."""
    if context.invoked_subcommand is not None:
        return
    settings = read_settings()
    bad = 0
    for name, look in CHECKS.items():
        try:
            click.echo(f"ok    {name:<10} {look(settings)}")
        except CallcenterError as exc:
            bad += 1
            click.echo(f"BAD   {name:<10} {exc}")
    if bad:
        raise WeFailed(f"{bad} of {len(CHECKS)} checks failed")


@command.command("calls")
@click.option("--from", "since", type=MOMENT, help="Begun from then on; two days if not said.")
@click.option("--to", "until", type=MOMENT, help="Begun before; ten minutes ago at the latest.")
@click.option("--mend", "mending", is_flag=True, help="Put right what can be.")
def calls(since: datetime | None, until: datetime | None, mending: bool) -> None:
    """Compare the register with the switch's own ledger and the recorded files.

    Times are those of Asia/Almaty. Exit status 1 when differences are left.
    """
    settings = read_settings()
    latest = datetime.now(UTC) - SETTLED
    until = min(until.replace(tzinfo=ZONE), latest) if until else latest
    since = max(since.replace(tzinfo=ZONE), EARLIEST) if since else until - CHECKED
    if since >= until:
        raise AskedWrongly("there is no time between --from and --to")
    found, mended = asyncio.run(_compared(settings, since, until, mending=mending))
    for each in found:
        word = "mended" if each in mended else "DIFFERS"
        click.echo(f"{word:<7} {each.kind:<30} {each.subject}  {each.why}")
    left = len(found) - len(mended)
    if left:
        raise WeFailed(f"{left} differences: see docs/operations/failures.md")
    click.echo(f"no differences left from {_local(since)} to {_local(until)}")


async def _compared(
    settings: Settings, since: datetime, until: datetime, *, mending: bool
) -> tuple[list[Difference], list[Difference]]:
    async with opened(settings) as engine:
        return await check_calls(Tools(settings, engine), since=since, until=until, mending=mending)


def _local(at: datetime) -> str:
    return f"{at.astimezone(ZONE):%Y-%m-%d %H:%M}"


def _disk(settings: Settings) -> str:
    folder = _existing(settings.spool if settings.recordings_url else settings.recordings)
    free = shutil.disk_usage(folder).free
    if free < ENOUGH:
        raise WeFailed(f"{free / 1024**3:.1f} GiB free for recordings in {folder}: make room")
    return f"{free / 1024**3:.0f} GiB free for recordings"


def _stores(settings: Settings) -> str:
    Objects(settings.store).reach()
    if settings.copy_store is None:
        return "there; recordings have no second store (CALLCENTER_RECORDINGS_COPY)"
    Objects(settings.copy_store).reach()
    return "both are there"


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)


def _asterisk(settings: Settings) -> str:
    program = find_asterisk(settings)
    return f"{'.'.join(map(str, program.version))}, {program.modules}"


def _prompts(settings: Settings) -> str:
    synthetic = Prompts.load(settings).synthetic()
    if not synthetic:
        return "all spoken by people"
    words = [name for name in synthetic if "/number_" not in name]
    numbers = f" and {len(synthetic) - len(words)} numbers" if len(words) < len(synthetic) else ""
    return f"still synthetic (docs/decisions/0008): {', '.join(words)}{numbers}"


def _database(settings: Settings) -> str:
    version = asyncio.run(once(settings, _migrated_to))
    return f"migrated to {version}"


async def _migrated_to(connection: AsyncConnection) -> str:
    return str((await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar())


def _redis(settings: Settings) -> str:
    return asyncio.run(_ping(settings))


async def _ping(settings: Settings) -> str:
    try:
        async with asyncio.timeout(3), open_redis(settings) as redis:
            await redis.ping()
            waiting, free = await redis.zcard("desk:waiting"), await redis.zcard("desk:idle")
    except Exception as exc:
        raise WeFailed(f"no answer ({exc}): start it or correct CALLCENTER_REDIS_URL") from exc
    return f"{waiting} waiting, {free} consultants free"


def _configuration(settings: Settings) -> str:
    difference = changes(settings, render(settings, asyncio.run(sip_accounts(settings))))
    if difference:
        raise WeFailed("Asterisk's files are behind: see `callcenter render --check`, then render")
    return "Asterisk's files are as the settings and the roster say"


def _roster(settings: Settings) -> str:
    crew = asyncio.run(once(settings, consultants.active))
    missing = {"kk", "ru"} - {language for each in crew for language in each.languages}
    if missing:
        names = ", ".join(sorted(missing))
        raise WeFailed(f"no active consultant speaks {names}: `callcenter consultants add`")
    return f"{len(crew)} active consultants"


def _spool(settings: Settings) -> str:
    now = datetime.now(UTC)
    found = asyncio.run(once(settings, lambda c: orphans.find(c, settings.spool, now)))
    if found:
        names = ", ".join(each.name for each in found)
        raise WeFailed(
            f"{len(found)} recorded files in {settings.spool} belong to no call that is known: "
            f"{names}; keep them, and see docs/operations/failures.md"
        )
    return "every recorded file belongs to a call"


def _journal(settings: Settings) -> str:
    aside = set_aside(settings.journals)
    if aside:
        raise WeFailed(
            f"{len(aside)} files in {aside[0].parent} hold what no database took: keep them, and "
            "see docs/operations/failures.md"
        )
    files = waiting(settings.journals)
    if files:
        size = sum(path.stat().st_size for path in files)
        raise WeFailed(f"{size / 1024:.0f} KiB wait for the database in {settings.journals}")
    return "nothing waits for the database"


def _keys(settings: Settings) -> str:
    files = [*(settings.keys / "recordings").glob("*.key")]
    if not files:
        return "none is to be seen by the user of this command"
    readable = may_read_keys(settings)
    if readable:
        kept = "keeps" if can_confine() else "cannot, on this machine, keep"
        return (
            f"{len(files)}; the user of the controllers can read {len(readable)} of them: "
            f"`callcenter up` {kept} its controllers from it (Landlock), under systemd give "
            "controllers a user of their own (docs/operations/running.md)"
        )
    return f"{len(files)}, which the user of the controllers cannot read"


def _messages(settings: Settings) -> str:
    kind = file_system(settings.laid_out)
    if kind in IN_MEMORY:
        return "consultants hear them out of memory, and nothing of it comes to a disk"
    return (
        f"while consultants hear them by telephone they lie in {settings.laid_out} in plain, on "
        f"{kind}: mount a tmpfs there (docs/operations/running.md)"
    )


def file_system(path: Path) -> str:
    """What kind of file system the path, or what is there of it, is on: `ext4`, `tmpfs`."""
    there = _existing(path).resolve()
    mounted = psutil.disk_partitions(all=True)
    holding = [each for each in mounted if there.is_relative_to(each.mountpoint)]
    return max(holding, key=lambda each: len(each.mountpoint)).fstype


def may_read_keys(settings: Settings) -> list[Path]:
    """The files of keys that controllers could read: they run as the owner of the journals.

    A key is refused when it is open to others, so only its owner and root are asked about.
    """
    folder = settings.journals if settings.journals.exists() else settings.var
    user = folder.stat().st_uid
    files = (settings.keys / "recordings").glob("*.key")
    return [file for file in files if user in (0, file.stat().st_uid)]


CHECKS: dict[str, Callable[[Settings], str]] = {
    "disk": _disk,
    "store": _stores,
    "asterisk": _asterisk,
    "prompts": _prompts,
    "database": _database,
    "redis": _redis,
    "rendered": _configuration,
    "roster": _roster,
    "spool": _spool,
    "journal": _journal,
    "keys": _keys,
    "messages": _messages,
}
