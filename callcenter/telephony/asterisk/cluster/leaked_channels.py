"""Hang up leaked channels and bridges: those in Asterisk that no live call owns.

A leg is hung up with one request, which waits two seconds and is never repeated: hanging up must
not block a call. The request may not have been answered, or Asterisk may have called somebody after
we had given that up. So Asterisk is compared with what we
track, again and again. What is unowned in two scans is ended, and so is what was to end before.
"""

import asyncio
import logging
from contextlib import suppress

from callcenter.platform.core.errors import OperationFailed
from callcenter.telephony.asterisk.ari import Ari
from callcenter.telephony.asterisk.channel import Channel
from callcenter.telephony.asterisk.channel_registry import ChannelRegistry
from callcenter.telephony.asterisk.cluster.membership import ClusterMembership
from callcenter.telephony.asterisk.cluster.orphaned_calls import OrphanedChannels, find_orphans
from callcenter.telephony.asterisk.fence import Fenced
from callcenter.telephony.asterisk.resource_ids import (
    CONVERSATION_BRIDGE_PREFIX,
    ORIGINATED_PREFIX,
    SNOOP_PREFIX,
    caller_channel_of,
)
from callcenter.telephony.calls.conversation.feature_codes import extension_of
from callcenter.telephony.calls.ports import LegHungUp

log = logging.getLogger(__name__)

SCAN_INTERVAL = 5.0  # seconds between two scans: longer than any event is on its way
RESCAN_INTERVAL = 1.0  # seconds between the two first scans after a gap


class LeakedChannelReaper:
    """Ends what one controller left behind itself in Asterisk."""

    def __init__(
        self,
        ari: Ari,
        membership: ClusterMembership,
        channels: ChannelRegistry,
        interval: float = SCAN_INTERVAL,
    ) -> None:
        """`interval` is in seconds. Report each resync of the node by `rescan`."""
        self._ari = ari
        self._membership = membership
        self._channels = channels
        self._interval = interval
        self._resynced = asyncio.Event()

    def rescan(self) -> None:
        """Scan anew, soon: after a gap much may have been missed."""
        self._resynced.set()

    async def run(self) -> None:
        """Scan until cancelled, or until the calls are another's. Faults of Asterisk are logged."""
        unowned: frozenset[str] = frozenset()
        pause = self._interval
        while True:
            is_resynced = await self._wait(pause)
            if is_resynced:  # what was unowned before a gap may only not have been reported yet
                unowned = frozenset()
            pause = min(RESCAN_INTERVAL, self._interval) if is_resynced else self._interval
            try:
                left = await self._scan()
                before, unowned = unowned, self._find_unowned(left)
                await asyncio.gather(*(self._end(left, each) for each in sorted(before & unowned)))
            except Fenced:
                return
            except OperationFailed as exc:
                log.error("leak scan failed: %s", exc)

    async def _wait(self, seconds: float) -> bool:
        """Wait for a resync (true) or until the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._resynced.wait()
        is_resynced = self._resynced.is_set()
        self._resynced.clear()
        return is_resynced

    async def _scan(self) -> OrphanedChannels:
        return await find_orphans(self._ari, self._ari.application, self._membership.alive)

    def _find_unowned(self, left: OrphanedChannels) -> frozenset[str]:
        """Channels and bridges without a live call, by id."""
        tracked = self._channels
        tracked.ending &= left.channels.keys() | left.bridges
        bridges = {*left.conversations, *left.snoop_bridges}
        return frozenset(tracked.ending) | {
            *(each for each in left.orphans if each not in tracked),
            *(each for each in bridges if _owner(each) not in tracked),
        }

    async def _end(self, left: OrphanedChannels, leaked: str) -> None:
        log.warning("leaked channel or bridge ended: %s", leaked)
        if leaked in left.bridges:
            await self._channels.destroy(leaked)
        elif (
            leaked.startswith(ORIGINATED_PREFIX)
            or leaked in self._channels.ending
            or _is_ours(left, leaked)
        ):
            await self._channels.end(leaked)
        else:  # a caller of whom nobody here knows anything
            with suppress(LegHungUp):
                await Channel(self._ari, leaked).continue_in_fallback()


def _owner(bridge: str) -> str:
    """The channel without which this bridge is nobody's."""
    return (
        caller_channel_of(bridge)
        if bridge.startswith(CONVERSATION_BRIDGE_PREFIX)
        else bridge.removeprefix(SNOOP_PREFIX)
    )


def _is_ours(left: OrphanedChannels, channel_id: str) -> bool:
    """Whether it is the telephone of a consultant, who dialled something."""
    return extension_of(left.channels[channel_id]["name"]) is not None
