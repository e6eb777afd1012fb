"""What connects legs (`callcenter.line.ports.Switch`): incoming, called and connected channels."""

import asyncio
import logging
import math
import re
import secrets
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from callcenter.asterisk.ari import Ari, Event, Gone, Refused, Unreachable, channel_of
from callcenter.asterisk.channel import Channel
from callcenter.asterisk.lease import Fenced, Lease
from callcenter.asterisk.lives import Lives
from callcenter.asterisk.names import CALLED, OVERHEARD, TALK
from callcenter.asterisk.room import Room
from callcenter.errors import WeFailed
from callcenter.line.ports import Leg, LegGone, NotAnswered, RecordingUnproved
from callcenter.settings import Settings

log = logging.getLogger(__name__)

_NUMBER = re.compile(r"\+?[0-9]{2,15}")  # E.164, and the short numbers of services
NO_ORIGINATOR = "originator channel was not found"  #: the caller has just hung up
MOVE = 2.0  # seconds for a channel to come into our application; it takes a millisecond
SNOOP = 2.0  # seconds for the switch's ear to be there; it takes about two milliseconds


class Recorder(Protocol):
    """Starts and stops recordings, and proves it; see `callcenter.asterisk.recorder`."""

    async def start(self, channel: str, file: Path) -> None: ...

    async def stop(self, channel: str, file: Path, *, gone: bool) -> None: ...


class Switchboard:
    """All channels that this controller holds.

    `on_call` gets each incoming call that we claimed and must not block; `on_dead` takes over from
    a life of a controller, which may have left in order (`callcenter.asterisk.estate`).
    """

    def __init__(
        self,
        settings: Settings,
        name: str,
        password: str,
        recorder: Recorder,
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
        #: Called when the switch is another one than before, with the time of its last word.
        self.when_died: Callable[[datetime], None] = lambda at: None
        self._last_word: datetime | None = None
        #: What was to end, and may be in the switch yet: nobody here keeps it any more.
        self.ending: set[str] = set()
        self.lease.on_confirmed = self._is_back
        self._life_of_switch = ""
        self._network_uri = settings.network_uri
        self._recorder = recorder
        self._on_call = on_call
        self._channels: dict[str, Channel] = {}
        self._ringing: dict[str, Channel] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def channel(self, channel_id: str) -> Channel:
        """The channel with this id, whose events are kept from now on until `forget`."""
        return self._channels.setdefault(channel_id, Channel(self.ari, channel_id))

    def forget(self, channel: Channel) -> None:
        """Stop keeping events of a channel that is done with."""
        self._channels.pop(channel.id, None)
        if channel.was_ended and not channel.is_gone:
            self.ending.add(channel.id)

    async def end(self, channel_id: str) -> None:
        """Hang up a channel that nobody here keeps."""
        self.ending.add(channel_id)
        await Channel(self.ari, channel_id).hang_up()

    def knows(self, channel_id: str) -> bool:
        """Whether somebody here keeps this channel."""
        return channel_id in self._channels

    def _in_application(self) -> list[str]:
        """The channels that the switch must know as our application's, if they are ours."""
        return [each.id for each in self._channels.values() if each.is_in_application]

    # Incoming

    def _on_event(self, event: Event) -> None:
        kind = event["type"]
        if kind == "ChannelUserevent":
            self.lives.hear(event)
        elif kind == "CallBroadcast":
            if self.claiming:
                self._spawn(self._claim(event["channel"]["id"]))
        else:
            self._on_event_of_channel(kind, event)

    def _on_event_of_channel(self, kind: str, event: Event) -> None:
        channel_id = channel_of(event)
        channel = self._channels.get(channel_id)
        if channel is not None:
            channel.handle(event)
        elif kind == "StasisStart":
            if channel_id.startswith(CALLED):  # answered when nobody waited for it any more
                self._spawn(self.end(channel_id))
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

    async def let_go(self, channel: Channel) -> None:
        """Hang up, and keep its events no more."""
        try:
            await channel.hang_up()
        finally:
            self.forget(channel)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

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
        channels = await self.ari.request("GET", "channels")
        there = {channel["id"] for channel in channels}
        if before not in ("", self._life_of_switch):
            self.when_died(self._last_word)
        self._last_word = None
        for channel in list(self._channels.values()):
            if channel.id in there:
                await channel.catch_up()
            elif before == self._life_of_switch:  # it hung up as anybody does, and we were cut off
                channel.handle({"type": "StasisEnd"})
            else:
                channel.lost()
        self._is_back()

    def _is_back(self) -> None:
        if self.when_back is not None:
            self.when_back()

    # Outgoing

    @asynccontextmanager
    async def ring(
        self, extension: str, caller: Leg | None, shown: str, timeout: float
    ) -> AsyncIterator[Channel]:
        """A consultant's channel, once answered; the telephone shows 111 and `shown`."""
        name = f'"111 {shown}" <111>'
        channel = self._ringing[extension] = self._new_channel()
        try:
            async with self._called(channel, f"PJSIP/{extension}", caller, name, timeout):
                yield channel
        finally:
            if self._ringing.get(extension) is channel:
                del self._ringing[extension]

    def stop_ringing(self, extension: str) -> None:
        """Whoever rings this consultant gets NotAnswered("withdrawn"), unless it was answered."""
        channel = self._ringing.get(extension)
        if channel is not None:
            self._spawn(channel.withdraw())

    @asynccontextmanager
    async def call_unified_center(self, caller: Leg, timeout: float) -> AsyncIterator[Channel]:
        """1414's channel, once answered."""
        channel = self._new_channel()
        async with self._called(channel, "PJSIP/unified-center", caller, "111", timeout):
            yield channel

    @asynccontextmanager
    async def call_number(
        self, number: str, shown: str, timeout: float, *, beside: Leg | None = None
    ) -> AsyncIterator[Channel]:
        """The channel of a telephone number, once answered: digits, + first where international."""
        if not (_NUMBER.fullmatch(number) and _NUMBER.fullmatch(shown)):
            raise NotAnswered("no_number")
        channel = self._new_channel()
        endpoint = f"PJSIP/network/{self._network_uri.format(number=number)}"
        name = f'"{shown}" <{shown}>'
        async with self._called(channel, endpoint, beside, name, timeout):
            yield channel

    def _new_channel(self) -> Channel:
        return self.channel(f"{CALLED}{uuid.uuid4()}-{self.ari.application}")

    @asynccontextmanager
    async def _called(
        self, channel: Channel, endpoint: str, beside: Leg | None, shown: str, timeout: float
    ) -> AsyncIterator[None]:
        try:
            try:
                async with asyncio.timeout(timeout):
                    await self.ari.request(
                        "POST",
                        f"channels/{channel.id}",
                        {
                            "endpoint": endpoint,
                            "app": self.ari.application,
                            "callerId": shown,
                            **({"originator": beside.id} if beside else {}),
                            "timeout": str(math.ceil(timeout) + 5),  # ours ends it; the net
                        },
                    )
                    await channel.answered()
            except TimeoutError:
                raise NotAnswered("no_answer") from None
            except Refused as exc:
                if beside and NO_ORIGINATOR in str(exc):  # no fault of whoever was to be rung
                    raise LegGone(f"leg {beside.id} hung up") from None
                # Asterisk has no way to that telephone.
                log.warning("cannot call %s: %s", endpoint, exc)
                raise NotAnswered("unreachable") from None
            yield
        finally:
            try:
                await asyncio.shield(channel.hang_up())
            finally:  # also when the caller left this very moment
                self.forget(channel)

    @asynccontextmanager
    async def room(self, caller: Leg, *, keys_to_us: bool = True) -> AsyncIterator[Room]:
        """A bridge for a caller's conversation, with nobody in it; destroyed with the block."""
        bridge = f"{TALK}{caller.id}-{secrets.token_hex(4)}"
        room = Room(self.ari, bridge, keys_to_us)
        try:
            # Else packets may be passed on below Asterisk, and nobody would see the keys.
            await self._build(bridge, "mixing,dtmf_events" if keys_to_us else "mixing")
            yield room
        finally:
            await asyncio.shield(self._part(room, bridge, caller))

    @asynccontextmanager
    async def found_room(
        self, bridge: str, caller: Leg, inside: Sequence[Leg]
    ) -> AsyncIterator[Room]:
        """The bridge of a conversation under way, with these in it; destroyed with the block."""
        room = Room(self.ari, bridge, absorb=True, inside=inside)
        try:
            yield room
        finally:
            await asyncio.shield(self._part(room, bridge, caller))

    async def _part(self, room: Room, bridge: str, caller: Leg) -> None:
        # What is played to a leg while its bridge is being destroyed, Asterisk forgets without a
        # word. The caller, to whom alone something may be played next, is taken out before: a leg
        # that was taken out is free when the answer comes.
        channel = self._channels.get(caller.id)
        if caller in room.inside and not (channel and channel.is_gone):
            with suppress(Unreachable):
                await room.leave(caller)
        await self.destroy(bridge)

    @asynccontextmanager
    async def connected(
        self, one: Leg, other: Leg, *, keys_to_us: bool = True
    ) -> AsyncIterator[None]:
        """The two hear each other within the block; keys are events for us, or for the other leg.

        Raises LegGone when `one` has hung up meanwhile, NotAnswered when `other` has.
        """
        async with self.room(one, keys_to_us=keys_to_us) as room:
            await room.enter(one)
            try:
                await room.enter(other)
            except LegGone:
                raise NotAnswered("left") from None
            yield

    @asynccontextmanager
    async def overheard(
        self, party: Leg, listener: Leg, *, whispering: bool
    ) -> AsyncIterator[None]:
        """`listener` hears what `party` says and hears, and is heard by nobody or by `party`.

        The ear is a channel of the switch's own, like one that was called: whoever finds it left
        behind hangs it up.
        """
        ear = self._new_channel()
        bridge = f"{OVERHEARD}{ear.id}"
        try:
            await self._snoop(party, ear, "out" if whispering else "none")
            await self._build(bridge, "mixing")
            room = Room(self.ari, bridge, absorb=True)
            try:
                await room.enter(ear)
            except LegGone:
                raise LegGone(f"channel {party.id} hung up") from None
            try:
                await room.enter(listener)
            except LegGone:
                raise NotAnswered("left") from None
            yield
        finally:
            try:
                await asyncio.shield(self.destroy(bridge))
                await asyncio.shield(ear.hang_up())
            finally:
                self.forget(ear)

    async def _snoop(self, party: Leg, ear: Channel, whisper: str) -> None:
        how = {"spy": "both", "whisper": whisper, "app": self.ari.application}
        try:
            async with asyncio.timeout(SNOOP):
                await self.ari.request("POST", f"channels/{party.id}/snoop/{ear.id}", how)
                await ear.answered()
        except (Gone, Refused, NotAnswered):
            raise LegGone(f"channel {party.id} hung up") from None
        except TimeoutError:
            raise WeFailed(f"the switch did not begin to listen to {party.id}") from None

    async def _build(self, bridge: str, kind: str) -> None:
        await self.ari.request(
            "POST",
            "bridges",
            {"type": kind, "bridgeId": bridge, "name": self.ari.application},
        )

    async def destroy(self, bridge: str) -> None:
        """End a bridge; its legs stay."""
        try:
            await self.ari.request("DELETE", f"bridges/{bridge}", within=2.0)
        except Gone:
            return
        except Exception as exc:
            log.warning("could not destroy bridge %s: %s", bridge, exc)
            self.ending.add(bridge)

    # Recording

    async def start_recording(self, caller: Leg, file: Path) -> None:
        """Two channels: what the caller says, and hears. Raises RecordingUnproved."""
        await self._sure_to_record()
        await self._recorder.start(self._channels[caller.id].name, file)

    async def stop_recording(self, caller: Leg, file: Path) -> None:
        """Return when it is proved stopped. Raises RecordingUnproved."""
        await self._sure_to_record()
        channel = self._channels[caller.id]
        await self._recorder.stop(channel.name, file, gone=channel.is_gone)

    async def _sure_to_record(self) -> None:
        """A recording of a call that is another's by now is not touched."""
        try:
            await self.lease.sure()
        except Fenced as exc:
            raise RecordingUnproved(str(exc)) from exc

    async def recording_closed(self, file: Path) -> None:
        """Return when it is proved closed, its channel having gone. Raises RecordingUnproved."""
        await self._recorder.stop("", file, gone=True)
