"""Registry of the channels that one controller holds in Asterisk."""

import logging
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from callcenter.platform.core.background_tasks import BackgroundTasks
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.late_answers import answer_within
from callcenter.telephony.asterisk.ari import (
    Ari,
    AriRequestFailed,
    ChannelNotFound,
    Event,
    channel_of,
)
from callcenter.telephony.asterisk.channel import Channel
from callcenter.telephony.asterisk.resource_ids import ORIGINATED_PREFIX
from callcenter.telephony.calls.ports import NotAnswered, TransferReport

log = logging.getLogger(__name__)

MOVE_TIMEOUT = 2.0  # seconds for a channel to come into our application; takes a millisecond


class ChannelRegistry:
    """All channels that this controller holds."""

    def __init__(self, ari: Ari) -> None:
        self.ari = ari
        #: Ids of what was to end, and may be in Asterisk yet: nobody here tracks it any more.
        self.ending: set[str] = set()
        self._channels: dict[str, Channel] = {}
        self._call_handler: Callable[[Channel], None] | None = None
        self._tasks = BackgroundTasks()

    def on_call(self, handler: Callable[[Channel], None]) -> None:
        """Register for each incoming call that we claimed; the handler must not block."""
        self._call_handler = handler

    def track(self, channel_id: str) -> Channel:
        """The channel with this id, whose events are taken in from now on until `untrack`."""
        return self._channels.setdefault(channel_id, Channel(self.ari, channel_id))

    def new(self) -> Channel:
        """A channel that we are about to make, tracked as with `track`."""
        return self.track(f"{ORIGINATED_PREFIX}{uuid.uuid4()}-{self.ari.application}")

    def untrack(self, channel: Channel) -> None:
        """Take in no more events of a channel that is done with."""
        self._channels.pop(channel.id, None)
        if channel.was_ended and not channel.is_gone:
            self.ending.add(channel.id)

    async def hang_up(self, channel: Channel) -> None:
        """Hang up, and track the channel no more."""
        try:
            await channel.hang_up()
        finally:
            self.untrack(channel)

    async def end(self, channel_id: str) -> None:
        """Hang up a channel that nobody here tracks."""
        self.ending.add(channel_id)
        await Channel(self.ari, channel_id).hang_up()

    async def destroy(self, bridge: str) -> None:
        """End a bridge; its legs stay. A fault is logged."""
        try:
            await self.ari.request("DELETE", f"bridges/{bridge}", within=2.0)
        except ChannelNotFound:
            return
        except Exception as exc:
            log.warning("bridge not destroyed: %s: %s", bridge, exc)
            self.ending.add(bridge)

    def __contains__(self, channel_id: str) -> bool:
        return channel_id in self._channels

    def __getitem__(self, channel_id: str) -> Channel:
        return self._channels[channel_id]

    def all(self) -> list[Channel]:
        """The channels that are tracked now."""
        return list(self._channels.values())

    def handle(self, kind: str, event: Event) -> None:
        """Take in an event about a channel; never blocks."""
        channel_id = channel_of(event)
        channel = self._channels.get(channel_id)
        if channel is not None:
            channel.handle(event)
            if kind == "ChannelTransfer" and channel.has_unheard_transfer:
                self._tasks.spawn(channel.report_transfer(TransferReport.REFUSED))
        elif kind == "StasisStart":
            if channel_id.startswith(ORIGINATED_PREFIX):  # answered after its caller gave up
                self._tasks.spawn(self.end(channel_id))
            else:
                channel = self._make_channel(event["channel"])
                channel.is_in_application = True
                self._channels[channel_id] = channel
                if self._call_handler is not None:
                    self._call_handler(channel)

    def _make_channel(self, snapshot: Mapping[str, Any]) -> Channel:
        """A channel from ARI's description of it."""
        channel = Channel(self.ari, snapshot["id"], snapshot["name"], snapshot["caller"]["number"])
        channel.dialled = snapshot["dialplan"]["exten"]
        channel.is_up = snapshot["state"] == "Up"
        channel.began_at = datetime.fromisoformat(snapshot["creationtime"]).timestamp()
        return channel

    async def move_here(self, snapshot: Mapping[str, Any], *, is_ours: bool = False) -> Channel:
        """Move a dead controller's channel into our application; it may have gone.

        `is_ours`: it is there already. Raises OperationFailed when it is not sure that it is.
        """
        channel = self._channels[snapshot["id"]] = self._make_channel(snapshot)
        if is_ours:  # to move it once more would end it here
            channel.handle({"type": "StasisStart", "channel": snapshot})
            return channel
        query = {"app": self.ari.application}
        try:
            async with answer_within(MOVE_TIMEOUT):
                await self.ari.request("POST", f"channels/{channel.id}/move", query)
                await channel.wait_answered()
        except (ChannelNotFound, AriRequestFailed, NotAnswered):
            # A refusal: it is hanging up this moment.
            channel.handle({"type": "StasisEnd"})
        except TimeoutError:
            raise OperationFailed(f"Asterisk did not give us channel {channel.id}") from None
        return channel
