"""`callcenter check`: is this copy fit to serve, and if not, what is to be done."""

import asyncio
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from callcenter.app import sip_accounts
from callcenter.asterisk.program import find_asterisk
from callcenter.asterisk.render import changes, render
from callcenter.consultants import store as consultants
from callcenter.errors import CallcenterError, WeFailed
from callcenter.ledger import orphans
from callcenter.line.prompts import Prompts
from callcenter.settings import Settings, read_settings
from callcenter.storage.engine import once
from callcenter.storage.redis import open_redis

ENOUGH = 2 * 1024**3  # bytes: about three days of recordings at 6 000 calls a day


@click.command("check")
def command() -> None:
    """Tell whether this copy is fit to serve. Exit status 1 when something must be done."""
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


def _disk(settings: Settings) -> str:
    folder = _existing(settings.recordings)
    free = shutil.disk_usage(folder).free
    if free < ENOUGH:
        raise WeFailed(f"{free / 1024**3:.1f} GiB free for recordings in {folder}: make room")
    return f"{free / 1024**3:.0f} GiB free for recordings"


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
    redis = open_redis(settings)
    try:
        async with asyncio.timeout(3):
            await redis.ping()
            waiting, free = await redis.zcard("desk:waiting"), await redis.zcard("desk:idle")
    except Exception as exc:
        raise WeFailed(f"no answer ({exc}): start it or correct CALLCENTER_REDIS_URL") from exc
    finally:
        await redis.aclose()
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


CHECKS: dict[str, Callable[[Settings], str]] = {
    "disk": _disk,
    "asterisk": _asterisk,
    "prompts": _prompts,
    "database": _database,
    "redis": _redis,
    "rendered": _configuration,
    "roster": _roster,
    "spool": _spool,
}
