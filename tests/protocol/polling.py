"""Waiting with a limit instead of sleeping."""

import asyncio
import time
from collections.abc import Callable


async def until(true: Callable[[], object], what: str, limit: float = 30.0) -> None:
    """Return as soon as `true()` is; fail with `what` after `limit` seconds."""
    deadline = time.monotonic() + limit
    while not true():
        assert time.monotonic() < deadline, f"not within {limit:g} s: {what}"
        await asyncio.sleep(0.01)
