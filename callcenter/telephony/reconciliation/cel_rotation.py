"""Rotates Asterisk's CEL file every day, and deletes what is older than its term.

Its lines have callers' numbers. Asterisk opens the file for each line, so it may be renamed at any
moment; readers go on in the renamed one (`cel_tail`, `cel_archive`).
"""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import NoReturn

from callcenter.platform.core.settings import Settings
from callcenter.telephony.reconciliation.cel import LONGEST, parse
from callcenter.telephony.reconciliation.cel_tail import cel_file_of, written_at

log = logging.getLogger(__name__)

INTERVAL = 600.0  # seconds


async def keep_rotating(settings: Settings) -> NoReturn:
    """Rotate and delete every ten minutes, until cancelled. Never raises."""
    while True:
        try:
            await asyncio.to_thread(
                rotate, cel_file_of(settings), timedelta(days=settings.cel_days), datetime.now(UTC)
            )
        except OSError as exc:
            log.error("CEL file not rotated, trying again: %s", exc)
        await asyncio.sleep(INTERVAL)


def rotate(cel_file: Path, term: timedelta, now: datetime) -> None:
    """Rename a file that was begun before this day (UTC); delete those older than `term`.

    Each has a day at most, so no line is older than `term` and a day. It blocks. Raises OSError.
    """
    if cel_file.exists() and _began(cel_file).date() < now.date():
        day = f"{_last_written(cel_file):%Y-%m-%d}"
        cel_file.rename(_unused(cel_file.with_name(f"{cel_file.name}.{day}")))
    for rotated in cel_file.parent.glob(f"{cel_file.name}.*"):
        if written_at(rotated) < (now - term).timestamp():
            rotated.unlink()


def _began(cel_file: Path) -> datetime:
    """The time of the first line, or else of the last writing."""
    with cel_file.open("rb") as file:
        first = parse(file.readline(LONGEST))
    return first.at if first else _last_written(cel_file)


def _last_written(cel_file: Path) -> datetime:
    return datetime.fromtimestamp(cel_file.stat().st_mtime, UTC)


def _unused(path: Path) -> Path:
    if not path.exists():
        return path
    numbered = (path.with_name(f"{path.name}-{number}") for number in count(2))
    return next(each for each in numbered if not each.exists())
