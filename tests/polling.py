"""Waiting with a limit instead of sleeping."""

import asyncio
import inspect
import time
from collections.abc import Callable

LIMIT = 30.0  # seconds, on a machine that is busy


class NotInTime(TimeoutError):
    """A limit ran out: all that a busy machine can be blamed for."""


async def until(true: Callable[[], object], what: str = "", limit: float = LIMIT) -> None:
    """Return as soon as `true()` is, which may have to be awaited.

    Raises NotInTime, which says `what`, after `limit` seconds.
    """
    deadline = time.monotonic() + limit
    while True:
        found, pause = true(), 0.01
        if inspect.isawaitable(found):
            found, pause = await found, 0.05  # it asks a server
        if found:
            return
        if time.monotonic() >= deadline:
            raise NotInTime(
                f"not within {limit:g} s: {what}" if what else f"not within {limit:g} s"
            )
        await asyncio.sleep(pause)


def require_within(seconds: float, limit: float, what: str) -> None:
    """Raises NotInTime if `what` took longer than `limit` seconds."""
    if seconds >= limit:
        raise NotInTime(f"{what}: {seconds:.3f} s, not within {limit:.3f} s")
