"""Time limit for answers of other processes that does not count our own lateness."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

LATE_AFTER = 0.05  # seconds after its moment at which a timer comes: our loop did not turn
CATCH_UP = 0.1  # seconds in which a loop that turns again takes in what came meanwhile
#: The same if its timer was in time: it may have stood still until just then.
CATCH_UP_IN_TIME = 0.01


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
            limit.reschedule(loop.time() + (CATCH_UP if is_late else CATCH_UP_IN_TIME))

        timer = loop.call_at(due_at, end)
        try:
            yield
        finally:
            timer.cancel()
