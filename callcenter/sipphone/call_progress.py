"""The progress of a call, and waiting for it."""

import asyncio
import time
from typing import Literal

from callcenter.platform.core.errors import CallcenterError, InvalidRequest
from callcenter.sipphone.errors import CallOver

Side = Literal["us", "them"]


class Progress:
    """`moments` holds `time.monotonic()` of what has happened so far; see `SipCall`."""

    def __init__(self) -> None:
        self.moments: dict[str, float] = {}
        self.ended_by: Side | None = None
        self.ended_reason: str | None = None
        self._failure: CallcenterError | None = None
        self._is_answered = False
        self._ringing, self._progressed = asyncio.Event(), asyncio.Event()
        self._acknowledged, self._over = asyncio.Event(), asyncio.Event()
        self._settled = asyncio.Event()  # answered or over

    @property
    def is_over(self) -> bool:
        return self._over.is_set()

    async def ringing(self, timeout: float = 10) -> None:
        """Returns once it rings on the other side (180), or is answered without ringing.

        Raises Refused or NoAnswer.
        """
        await self._wait(self._ringing, timeout, "the call did not ring")

    async def answered(self, timeout: float = 10) -> None:
        """Returns once the other side has answered. Raises Refused (with `status`) or NoAnswer."""
        await self._wait(self._settled, timeout, "the call was not answered")

    async def ended(self, timeout: float = 10) -> None:
        """Returns once the call is over, in whatever way: see `ended_by` and `ended_reason`."""
        await within(self._over, timeout, "the call did not end")

    async def _wait(self, event: asyncio.Event, timeout: float, otherwise: str) -> None:
        await within(event, timeout, otherwise)
        if self._failure is not None:
            raise self._failure
        if not self._is_answered:
            self._must_be_alive()

    def _must_be_alive(self) -> None:
        if self.is_over:
            raise CallOver(f"the call was over: {self.ended_reason}")

    def _must_talk(self) -> None:
        self._must_be_alive()
        if not self._is_answered:
            raise InvalidRequest("the call is not answered yet")

    def _mark(self, moment: str) -> None:
        self.moments.setdefault(moment, time.monotonic())

    def _set_answered(self) -> None:
        self._is_answered = True
        self._ringing.set()
        self._settled.set()

    def _set_over(self, by: Side, reason: str) -> None:
        self._mark("ended")
        self.ended_by, self.ended_reason = by, reason
        for event in (self._ringing, self._progressed, self._acknowledged, self._settled):
            event.set()
        self._over.set()


async def within(event: asyncio.Event, timeout: float, otherwise: str) -> None:
    """Waits for `timeout` seconds; then raises TimeoutError, which says `otherwise`."""
    try:
        async with asyncio.timeout(timeout):
            await event.wait()
    except TimeoutError as exc:
        raise TimeoutError(f"{otherwise} within {timeout:g} s") from exc
