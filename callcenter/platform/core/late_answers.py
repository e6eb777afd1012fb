"""Time limit for answers of other processes that does not count our own lateness."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

LATE_AFTER = 0.05  # seconds after its moment at which a timer comes: our loop did not turn
CATCH_UP = 0.1  # seconds in which others that stood still with us may answer yet
#: Turns of the loop, however late each is, in which what came meanwhile is read and passed on.
TURNS = 6


@asynccontextmanager
async def answer_within(seconds: float) -> AsyncIterator[None]:
    """Limit a block that waits for an answer; one that came while our loop stood still counts.

    After a standstill timers come before what is to be read, so `asyncio.timeout` would take the
    other side for silent. Raises TimeoutError.
    """
    loop = asyncio.get_running_loop()
    due_at = loop.time() + seconds
    async with asyncio.timeout(None) as limit:

        def end() -> None:
            is_late = loop.time() - due_at > LATE_AFTER
            timers.append(loop.call_later(CATCH_UP if is_late else 0.0, turn, TURNS))

        def turn(left: int) -> None:
            if left:
                timers.append(loop.call_soon(turn, left - 1))
            else:
                limit.reschedule(loop.time())

        timers: list[asyncio.Handle] = [loop.call_at(due_at, end)]
        try:
            yield
        finally:
            timers[-1].cancel()
