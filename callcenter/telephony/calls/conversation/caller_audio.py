"""Whether sound comes from the caller, by the RTP packets that the switch counts."""

import time
from collections.abc import Callable
from enum import StrEnum

from callcenter.platform.core.errors import OperationFailed
from callcenter.telephony.calls.ports import Leg, LegHungUp

COUNT_INTERVAL = 5.0  # seconds between two counts, however often it is asked
SILENT_AFTER = 10.0  # seconds without a packet after which nothing is heard


class CallerAudioState(StrEnum):
    """Whether the caller's telephone sends sound; what is in the sound is not known."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class CallerAudio:
    """Counts the packets of the caller's leg when it is asked."""

    def __init__(self, leg: Leg, clock: Callable[[], float] = time.monotonic) -> None:
        self.heard = CallerAudioState.UNKNOWN
        self._leg = leg
        self._clock = clock
        self._count: int | None = None
        self._counted_at = self._changed_at = float("-inf")

    async def update(self) -> None:
        """Count anew, unless that was done just now; `heard` is unknown when it cannot be."""
        now = self._clock()
        if now - self._counted_at < COUNT_INTERVAL:
            return
        self._counted_at = now
        before, self._count = self._count, await self._count_packets()
        if self._count is None or before is None:
            self._changed_at, self.heard = now, CallerAudioState.UNKNOWN
        elif self._count != before:
            self._changed_at, self.heard = now, CallerAudioState.YES
        elif now - self._changed_at >= SILENT_AFTER:
            self.heard = CallerAudioState.NO

    async def _count_packets(self) -> int | None:
        try:
            return await self._leg.packets_received()
        except (LegHungUp, OperationFailed):
            return None
