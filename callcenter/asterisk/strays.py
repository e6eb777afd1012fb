"""What a controller has in the switch and knows no more: it is ended, for nobody else would do it.

A leg is hung up with one request, which waits two seconds and is never repeated: who hangs up must
not stand still. It may not have been sent, while it was doubtful whose the calls were, or the
switch may have called somebody after we had given that up. So the switch is compared with what we
keep, again and again. What nobody knows in two looks is ended, and so is what was to end before.
"""

import asyncio
import logging
from contextlib import suppress

from callcenter.asterisk.channel import Channel
from callcenter.asterisk.channels import Channels
from callcenter.asterisk.estate import Estate, look
from callcenter.asterisk.lease import Fenced
from callcenter.asterisk.names import CALLED, OVERHEARD, TALK, caller_of
from callcenter.errors import WeFailed
from callcenter.line.codes import extension_of
from callcenter.line.ports import LegGone

log = logging.getLogger(__name__)

EVERY = 5.0  # seconds between two looks: longer than any event is on its way
AFTER_A_GAP = 1.0  # seconds between the two first looks after one


class Strays:
    """One controller's care for what it left behind itself. `every` is in seconds."""

    def __init__(self, channels: Channels, every: float = EVERY) -> None:
        self._channels = channels
        self._every = every
        self._back = asyncio.Event()
        channels.when_back = self._back.set

    async def run(self) -> None:
        """Until cancelled, or the calls are another's. A fault of the switch is logged."""
        unknown: frozenset[str] = frozenset()
        pause = self._every
        while True:
            is_back = await self._waited(pause)
            if is_back:  # what was unknown before a gap was perhaps not told to us yet
                unknown = frozenset()
            pause = min(AFTER_A_GAP, self._every) if is_back else self._every
            try:
                left = await self._look()
                before, unknown = unknown, self._unknown(left)
                await asyncio.gather(*(self._end(left, each) for each in before & unknown))
            except Fenced:
                return
            except WeFailed as exc:
                log.error("what was left behind in the switch stays for now: %s", exc)

    async def _waited(self, seconds: float) -> bool:
        """Whether it is sure again whose the calls are, after a gap; else the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._back.wait()
        is_back = self._back.is_set()
        self._back.clear()
        return is_back

    async def _look(self) -> Estate:
        ari = self._channels.ari
        return await look(ari, ari.application, self._channels.lives.roll.living)

    def _unknown(self, left: Estate) -> frozenset[str]:
        """Channels and bridges, by id."""
        kept = self._channels
        kept.ending &= left.channels.keys() | left.bridges
        bridges = {*left.talks, *left.ears}
        return frozenset(kept.ending) | {
            *(each for each in left.left if each not in kept),
            *(each for each in bridges if _owner(each) not in kept),
        }

    async def _end(self, left: Estate, stray: str) -> None:
        log.warning("%s was left behind in the switch; it ends now", stray)
        if stray in left.bridges:
            await self._channels.destroy(stray)
        elif stray.startswith(CALLED) or stray in self._channels.ending or _is_ours(left, stray):
            await self._channels.end(stray)
        else:  # a caller of whom nobody here knows anything
            with suppress(LegGone):
                await Channel(self._channels.ari, stray).leave_to_fallback()


def _owner(bridge: str) -> str:
    """The channel without which this bridge is nobody's."""
    return caller_of(bridge) if bridge.startswith(TALK) else bridge.removeprefix(OVERHEARD)


def _is_ours(left: Estate, channel_id: str) -> bool:
    """Whether it is the telephone of a consultant, who dialled something."""
    return extension_of(left.channels[channel_id]["name"]) is not None
