"""Graceful shutdown of a controller, and what becomes of its calls then."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from callcenter.platform.core.background_tasks import BackgroundTasks
from callcenter.telephony.asterisk.cluster.membership import TICK_INTERVAL
from callcenter.telephony.asterisk.node import AsteriskNode
from callcenter.telephony.calls.call_state import CallStage, CallStateTracker
from callcenter.telephony.controller.callback_scheduler import CallbackScheduler

log = logging.getLogger(__name__)

#: Stages in which the fallback can serve a caller as well; in all others something goes on.
SERVED_BY_FALLBACK = (CallStage.OPENING, CallStage.WAITING, CallStage.REDIRECTING)


class GracefulShutdown:
    """Ends one controller's calls, or hands them over. `calls` are the tasks of its calls."""

    def __init__(self, node: AsteriskNode, calls: BackgroundTasks) -> None:
        self._node = node
        self._calls = calls
        self._states: dict[asyncio.Task[object], CallStateTracker] = {}

    @contextmanager
    def track(self, state: CallStateTracker) -> Iterator[None]:
        """Within the block a shutdown sees the state of the call that this task serves."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a call is served by a task")
        self._states[task] = state
        try:
            yield
        finally:
            self._states.pop(task, None)

    async def drain(self, stop: asyncio.Event, scheduler: CallbackScheduler) -> bool:
        """Return when all that is left is to end; whether another took our calls over.

        Then, and when others take them over in order, ending them touches nothing. So it does
        when there is only a watchdog: conversations go on until the next controller comes, and
        the watchdog leaves to the fallback the callers for whom none comes. Without one the callers
        who wait are left to the fallback now, and conversations are served until they end.
        """
        fence = self._node.fence
        ends = [asyncio.create_task(each) for each in (stop.wait(), fence.wait_fenced())]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for each in ends:
            each.cancel()
        self._node.stop_claiming()
        self._node.membership.stop_serving()
        scheduler.stop_claiming()
        await self._node.settle_claims()
        while not fence.is_fenced:
            if self._hand_over():
                return False
            self._leave_to_fallback()
            if not self._calls and not scheduler.is_busy:
                return False
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_INTERVAL):
                    await fence.wait_fenced()
        log.critical("fenced: the calls of this controller are another's")
        return True

    def _hand_over(self) -> bool:
        """Tell the others to go on; false when there is nobody."""
        membership = self._node.membership
        membership.turn()  # who is there now
        if not membership.serving and not membership.watching:
            return False
        membership.leave()
        return True

    def _leave_to_fallback(self) -> None:
        for task, state in list(self._states.items()):
            if state.now.stage in SERVED_BY_FALLBACK:
                del self._states[task]  # a task that is cancelled twice gives nothing back
                task.cancel()

    async def end_calls(self) -> None:
        """End what is left of all calls."""
        await self._calls.end_all()
