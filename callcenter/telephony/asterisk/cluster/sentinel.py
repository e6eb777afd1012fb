"""Keep a sentinel beside this process (`sentinel_program`), which kills it when it hangs."""

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from callcenter.telephony.asterisk.cluster import sentinel_program

log = logging.getLogger(__name__)

RESTART_DELAY = 5.0  # seconds


@asynccontextmanager
async def watched_by_sentinel(member_file: Path) -> AsyncIterator[None]:
    """Have a sentinel within the block; one that ends is started again."""
    keeping = asyncio.create_task(_keep(member_file))
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def _keep(member_file: Path) -> None:
    program = (sys.executable, "-I", "-S", sentinel_program.__file__)
    while True:
        try:
            await _run(*program, str(os.getpid()), member_file)
        except OSError as exc:
            log.error("sentinel not started: %s: nobody kills this process if it hangs", exc)
        await asyncio.sleep(RESTART_DELAY)


async def _run(*command: str | Path) -> None:
    """Run it until it ends, which it should not, or we are cancelled. Raises OSError."""
    sentinel = await asyncio.create_subprocess_exec(*command)
    try:
        log.error("sentinel ended: status %d; starting another", await sentinel.wait())
    finally:
        if sentinel.returncode is None:
            sentinel.kill()
            await sentinel.wait()
