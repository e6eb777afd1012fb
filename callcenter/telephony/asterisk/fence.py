"""Fence: what keeps a controller from acting on calls that are another's by now."""

import asyncio
import time
from collections.abc import Callable

from callcenter.platform.core.errors import OperationFailed

#: Seconds without a turn of the loop after which others may have taken this process for frozen.
#: They wait longer than that: see `callcenter.telephony.asterisk.cluster.membership`.
UNSURE_AFTER = 5.0


class Fenced(OperationFailed):
    """Another controller has taken over the calls of this one, which ends: start it again."""


class Fence:
    """Whether the calls of this process are still its own.

    Others take over from a process that is no more, which cannot act, or from one that was frozen
    whole for long: that one asks, when it goes on, before it does anything.
    """

    def __init__(
        self, is_taken_over: Callable[[], bool], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`is_taken_over` is asked after a gap, and must not block; `clock` is in seconds."""
        self._is_taken_over = is_taken_over
        self._clock = clock
        self._turned_at = clock()
        self._fenced = asyncio.Event()

    def turn(self) -> None:
        """Take in a turn of the loop, several a second."""
        if not self.is_fenced:
            self._turned_at = self._clock()

    @property
    def is_fenced(self) -> bool:
        """Whether the calls are permanently another's."""
        is_unsure = self._clock() - self._turned_at > UNSURE_AFTER
        if is_unsure and not self._fenced.is_set() and self._is_taken_over():
            self._fenced.set()
        return self._fenced.is_set()

    def check(self) -> None:
        """Raise Fenced if the calls are another's."""
        if self.is_fenced:
            raise Fenced("another controller has taken over the calls of this one")

    def give_up(self) -> None:
        """Give the calls up permanently, to the controller that takes them over."""
        self._fenced.set()

    async def wait_fenced(self) -> None:
        """Return when the calls are another's."""
        await self._fenced.wait()

    def run(self, action: Callable[[], None]) -> None:
        """Run an action on our calls; never one on calls that are another's."""
        if not self.is_fenced:
            action()
