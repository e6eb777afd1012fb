"""The channels that one controller holds in the switch: what becomes ours, and what is to end."""

import asyncio
import logging
import uuid
from collections.abc import Callable, Collection, Coroutine, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from callcenter.asterisk.ari import Ari, Event, Gone, Refused, channel_of
from callcenter.asterisk.channel import Channel
from callcenter.asterisk.lease import Lease
from callcenter.asterisk.lives import Lives
from callcenter.asterisk.names import CALLED
from callcenter.errands import Errands
from callcenter.errors import WeFailed
from callcenter.line.ports import NotAnswered
from callcenter.settings import Settings

log = logging.getLogger(__name__)

MOVE = 2.0  # seconds for a channel to come into our application; it takes a millisecond


class Channels:
    """All channels that this controller holds.

    `on_call` gets each incoming call that we claimed and must not block; `on_dead` takes over from
    a life of a controller, which may have left in order (`callcenter.asterisk.estate`).
    """

    def __init__(
        self,
        settings: Settings,
        name: str,
        password: str,
        on_call: Callable[[Channel], None],
        on_dead: Callable[[str, bool], Coroutine[Any, Any, None]],
    ) -> None:
        """`name` is of this life of the controller: no other ever had it."""
        self.lease = Lease()
        self.ari = Ari(
            port=settings.ari_port,
            user="callcenter",
            password=password,
            application=name,
            on_event=self._on_event,
            on_connected=self._catch_up,
            lease=self.lease,
        )
        self.lives = Lives(self.ari, self.lease, on_dead, self._in_application)
        self.claiming = True
        #: Called after each connection and each doubt, once it is sure whose the calls are.
        self.when_back: Callable[[], None] | None = None
        #: Called when the switch is another one than before, with the time of its last word and
        #: the channels that ended with it.
        self.when_died: Callable[[datetime, Collection[str]], None] = lambda at, with_it: None
        self._last_word: datetime | None = None
        #: What was to end, and may be in the switch yet: nobody here keeps it any more.
        self.ending: set[str] = set()
        self.lease.on_confirmed = self._is_back
        self._life_of_switch = ""
        self._on_call = on_call
        self._channels: dict[str, Channel] = {}
        self._errands = Errands()

    def keep(self, channel_id: str) -> Channel:
        """The channel with this id, whose events are kept from now on until `forget`."""
        return self._channels.setdefault(channel_id, Channel(self.ari, channel_id))

    def new(self) -> Channel:
        """A channel that we are about to make, whose events are kept as with `keep`."""
        return self.keep(f"{CALLED}{uuid.uuid4()}-{self.ari.application}")

    def forget(self, channel: Channel) -> None:
        """Stop keeping events of a channel that is done with."""
        self._channels.pop(channel.id, None)
        if channel.was_ended and not channel.is_gone:
            self.ending.add(channel.id)

    async def let_go(self, channel: Channel) -> None:
        """Hang up, and keep its events no more."""
        try:
            await channel.hang_up()
        finally:
            self.forget(channel)

    async def end(self, channel_id: str) -> None:
        """Hang up a channel that nobody here keeps."""
        self.ending.add(channel_id)
        await Channel(self.ari, channel_id).hang_up()

    async def destroy(self, bridge: str) -> None:
        """End a bridge; its legs stay."""
        try:
            await self.ari.request("DELETE", f"bridges/{bridge}", within=2.0)
        except Gone:
            return
        except Exception as exc:
            log.warning("could not destroy bridge %s: %s", bridge, exc)
            self.ending.add(bridge)

    def __contains__(self, channel_id: str) -> bool:
        return channel_id in self._channels

    def __getitem__(self, channel_id: str) -> Channel:
        return self._channels[channel_id]

    def _in_application(self) -> list[str]:
        """The channels that the switch must know as our application's, if they are ours."""
        return [each.id for each in self._channels.values() if each.is_in_application]

    # What the switch tells

    def _on_event(self, event: Event) -> None:
        kind = event["type"]
        if kind == "ChannelUserevent":
            self.lives.hear(event)
        elif kind == "CallBroadcast":
            if self.claiming:
                self._errands.begin(self._claim(event["channel"]["id"]))
        else:
            self._on_event_of_channel(kind, event)

    def _on_event_of_channel(self, kind: str, event: Event) -> None:
        channel_id = channel_of(event)
        channel = self._channels.get(channel_id)
        if channel is not None:
            channel.handle(event)
        elif kind == "StasisStart":
            if channel_id.startswith(CALLED):  # answered when nobody waited for it any more
                self._errands.begin(self.end(channel_id))
            else:
                channel = self._told(event["channel"])
                channel.is_in_application = True
                self._channels[channel_id] = channel
                self._on_call(channel)

    def _told(self, told: Mapping[str, Any]) -> Channel:
        """A channel as the switch tells of it."""
        channel = Channel(self.ari, told["id"], told["name"], told["caller"]["number"])
        channel.dialled = told["dialplan"]["exten"]
        channel.is_up = told["state"] == "Up"
        channel.began_at = datetime.fromisoformat(told["creationtime"]).timestamp()
        return channel

    async def adopt(self, told: Mapping[str, Any], *, is_ours: bool = False) -> Channel:
        """A channel of a dead controller's, in our application from now on; it may have gone.

        `is_ours`: it is there already. Raises WeFailed when it is not sure that it is.
        """
        channel = self._channels[told["id"]] = self._told(told)
        if is_ours:  # to move it once more would end it here
            channel.handle({"type": "StasisStart", "channel": told})
            return channel
        query = {"app": self.ari.application}
        try:
            async with asyncio.timeout(MOVE):
                await self.ari.request("POST", f"channels/{channel.id}/move", query)
                await channel.answered()
        except (Gone, Refused, NotAnswered):  # Refused: it is hanging up this moment
            channel.handle({"type": "StasisEnd"})
        except TimeoutError:
            raise WeFailed(f"the switch did not give us channel {channel.id}") from None
        return channel

    async def _claim(self, channel_id: str) -> None:
        try:
            await self.ari.request(
                "POST",
                "events/claim",
                {"channelId": channel_id, "application": self.ari.application},
            )
        except (Gone, Refused):
            return  # another controller was first, or the caller left
        except Exception as exc:
            log.error("cannot claim call %s: %s", channel_id, exc)

    async def _catch_up(self) -> None:
        """After each connection: are our calls ours yet, and who of them vanished, or finished?"""
        if self._last_word is None:  # else it is tried once more
            self._last_word = datetime.now(UTC) - timedelta(seconds=self.lease.unheard)
        await self.lives.settle()
        told = await self.ari.request("GET", "asterisk/info", {"only": "status"})
        before, self._life_of_switch = self._life_of_switch, told["status"]["startup_time"]
        known = list(self._channels.values())  # who comes while we ask is not missing
        channels = await self.ari.request("GET", "channels")
        there = {channel["id"] for channel in channels}
        missing = {channel.id for channel in known} - there
        if before not in ("", self._life_of_switch):
            self.when_died(self._last_word, missing)
        self._last_word = None
        for channel in known:
            if channel.id not in missing:
                await channel.catch_up()
            elif before == self._life_of_switch:  # it hung up as anybody does, and we were cut off
                channel.handle({"type": "StasisEnd"})
            else:
                channel.lost()
        self._is_back()

    def _is_back(self) -> None:
        if self.when_back is not None:
            self.when_back()
