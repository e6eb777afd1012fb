"""How a controller ends, and what becomes of its calls then."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from callcenter.asterisk.channels import Channels
from callcenter.asterisk.lease import Hold
from callcenter.asterisk.lives import BEAT
from callcenter.controller.owed import Owed
from callcenter.errands import Errands
from callcenter.line.whereabouts import Memory, Stage

log = logging.getLogger(__name__)

#: Callers whom the fallback can serve as well; with all others something goes on.
SERVED_BY_FALLBACK = (Stage.OPENING, Stage.WAITING, Stage.REDIRECTING)


class Leaving:
    """One controller's way to its end. `calls` are the tasks of its calls."""

    def __init__(self, channels: Channels, calls: Errands) -> None:
        self._channels = channels
        self._lease = channels.lease
        self._calls = calls
        self._where: dict[asyncio.Task[object], Memory] = {}

    @property
    def calls_may_begin(self) -> bool:
        """Whether we stay, and hear the switch."""
        ours = self._channels
        return ours.claiming and ours.ari.connected.is_set() and self._lease.hold is Hold.SURE

    @contextmanager
    def known(self, memory: Memory) -> Iterator[None]:
        """Within the block it is known where the call is that this task serves."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a call is served by a task")
        self._where[task] = memory
        try:
            yield
        finally:
            self._where.pop(task, None)

    async def until_over(self, stop: asyncio.Event, owed: Owed) -> bool:
        """Return when all that is left is to end; whether another took our calls over.

        Then, and when others take them over in order, ending them touches nothing. So it does
        when there is only a watchdog: conversations go on until the next controller comes, and
        the watchdog leaves to the fallback whom none comes for. Without one the callers who wait
        are left to the fallback now, and conversations are served until they end.
        """
        ends = [asyncio.create_task(each) for each in (stop.wait(), self._lease.lost())]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for each in ends:
            each.cancel()
        self._channels.claiming = False
        self._channels.lives.serves = False
        owed.takes_more = False
        while self._lease.hold is not Hold.LOST:
            if await self._handed_over():
                return False
            self._leave_to_fallback()
            if not self._calls and not owed.is_busy:
                return False
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT):
                    await self._lease.lost()
        log.critical("another controller has taken over the calls of this one, which ends")
        return True

    async def _handed_over(self) -> bool:
        """Whether somebody is there to go on, who is told to."""
        roll = self._channels.lives.roll
        if not roll.serving and not roll.watching:
            return False
        self._lease.lose()
        await self._channels.lives.leave()
        return True

    def _leave_to_fallback(self) -> None:
        for task, memory in list(self._where.items()):
            if memory.now.stage in SERVED_BY_FALLBACK:
                del self._where[task]  # who is cancelled twice gives nothing back
                task.cancel()

    async def end_calls(self) -> None:
        """End what is left of all calls."""
        calls = list(self._calls)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
