"""Whether a controller may still act on its calls, or another may have taken them over.

Nobody who was stopped for a while (SIGSTOP, a blocked loop, a machine that swaps, a connection that
was cut) knows it at once. What can be known is how long the switch was not heard, which answers
every third of a second. After a gap nothing is done, and nothing put down, until it is sure that
nobody took the calls over (`callcenter.asterisk.lives`).
"""

import asyncio
import time
from collections.abc import Callable
from enum import Enum, auto

from callcenter.errors import WeFailed

#: Seconds without a word from the switch after which others may have taken us for dead. They wait
#: longer than that: see `callcenter.asterisk.lives`.
SURE = 1.4


class Fenced(WeFailed):
    """Another controller has taken over the calls of this one, which ends: start it again."""


class Hold(Enum):
    """How a controller holds its calls."""

    SURE = auto()  #: they are its own
    DOUBTFUL = auto()  #: they may have been taken over
    LOST = auto()  #: they are another's, for good


class Lease:
    """A controller's hold on its calls. `clock` is in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._heard = clock()
        self._hold = Hold.SURE
        self._settled = asyncio.Event()
        self._lost = asyncio.Event()
        self._kept_back: list[Callable[[], None]] = []
        #: Called when a doubt is over, and the calls are ours.
        self.on_confirmed: Callable[[], None] = lambda: None

    @property
    def hold(self) -> Hold:
        """How the calls are held now: a gap is noticed by whoever asks first after it."""
        if self._hold is Hold.SURE and self._clock() - self._heard > SURE:
            self._hold = Hold.DOUBTFUL
            self._settled.clear()
        return self._hold

    @property
    def unheard(self) -> float:
        """Seconds since a word came from the switch: it answers every third of one."""
        return self._clock() - self._heard

    def heard(self) -> None:
        """A word came from the switch."""
        if self.hold is Hold.SURE:
            self._heard = self._clock()

    def confirm(self) -> None:
        """Nobody took the calls over: what was kept back is done now, in order."""
        if self.hold is Hold.DOUBTFUL:
            self._heard = self._clock()
            self._hold = Hold.SURE
            deeds, self._kept_back = self._kept_back, []
            for deed in deeds:
                deed()
            self._settled.set()
            self.on_confirmed()

    def lose(self) -> None:
        """The calls are another's: what was kept back is never done, nor anything else."""
        self._hold = Hold.LOST
        self._kept_back.clear()
        self._settled.set()
        self._lost.set()

    async def lost(self) -> None:
        """Return when the calls are another's."""
        await self._lost.wait()

    async def sure(self) -> None:
        """Return when it is sure that the calls are ours. Raises Fenced when they are not."""
        while self.hold is Hold.DOUBTFUL:
            await self._settled.wait()
        if self.hold is Hold.LOST:
            raise Fenced

    def when_sure(self, deed: Callable[[], None]) -> None:
        """Do it now, or as soon as it is sure that the calls are ours; else never."""
        if self.hold is Hold.DOUBTFUL:
            self._kept_back.append(deed)
        elif self.hold is Hold.SURE:
            deed()
