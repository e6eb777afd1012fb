"""Bounds logs of processes that append to them and know no bound themselves."""

import asyncio
import logging
import os
from pathlib import Path
from typing import NoReturn

from callcenter.platform.core.beats import until_beat

LIMIT = 10_000_000  #: bytes of a log, and of NAME.1, which has what it had before
INTERVAL = 5.0  # seconds, in which a flood of SIP writes less than a log may have

_log = logging.getLogger(__name__)


async def keep_bounded(folder: Path, limit: int = LIMIT) -> NoReturn:
    """Bound the logs (`*.log`) of a folder every few seconds, until cancelled.

    Never raises: a log that cannot be bounded is told, and tried again.
    """
    while True:
        await until_beat(INTERVAL)
        for log in _longer_than(limit, folder):
            try:
                await asyncio.to_thread(bound, log, limit)
            except OSError as exc:
                _log.error("log not bounded, trying again: %s", exc)


def _longer_than(limit: int, folder: Path) -> list[Path]:
    return [each for each in folder.glob("*.log") if each.stat().st_size > limit]


def bound(log: Path, limit: int) -> None:
    """Move the last `limit` bytes of a log into NAME.1, and empty it.

    Who appends to it (O_APPEND) goes on with the same file; what is appended meanwhile is lost.
    Where NAME.1 cannot be written,
    as on a full disk, all is: no log may keep the disk from recordings. Raises OSError.
    """
    before = log.with_name(f"{log.name}.1")
    with log.open("r+b") as file:
        try:
            copy = os.open(before, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                start = max(0, os.fstat(file.fileno()).st_size - limit)
                os.sendfile(copy, file.fileno(), start, limit)
            finally:
                os.close(copy)
        finally:
            file.truncate(0)
