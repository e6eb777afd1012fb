"""What connects legs (`callcenter.line.ports.Switch`): channels are called, and meet in bridges."""

import asyncio
import logging
import math
import re
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Protocol

from callcenter.asterisk.ari import Gone, Refused, Unreachable
from callcenter.asterisk.channel import Channel
from callcenter.asterisk.channels import Channels
from callcenter.asterisk.lease import Fenced
from callcenter.asterisk.names import OVERHEARD, TALK
from callcenter.asterisk.room import Room
from callcenter.errands import Errands
from callcenter.errors import WeFailed
from callcenter.line.ports import Leg, LegGone, NotAnswered, RecordingUnproved
from callcenter.settings import Settings

log = logging.getLogger(__name__)

_NUMBER = re.compile(r"\+?[0-9]{2,15}")  # E.164, and the short numbers of services
NO_ORIGINATOR = "originator channel was not found"  #: the caller has just hung up
SNOOP = 2.0  # seconds for the switch's ear to be there; it takes about two milliseconds


class Recorder(Protocol):
    """Starts and stops recordings, and proves it; see `callcenter.asterisk.recorder`."""

    async def start(self, channel: str, file: Path) -> None: ...

    async def stop(self, channel: str, file: Path, *, gone: bool) -> None: ...


class Switchboard:
    """What one controller does with the channels that it holds."""

    def __init__(self, settings: Settings, channels: Channels, recorder: Recorder) -> None:
        self.channels = channels
        self._ari = channels.ari
        self._network_uri = settings.network_uri
        self._recorder = recorder
        self._ringing: dict[str, Channel] = {}
        self._errands = Errands()

    # Who is called

    @asynccontextmanager
    async def ring(
        self, extension: str, caller: Leg | None, shown: str, timeout: float
    ) -> AsyncIterator[Channel]:
        """A consultant's channel, once answered; the telephone shows 111 and `shown`."""
        name = f'"111 {shown}" <111>'
        channel = self._ringing[extension] = self.channels.new()
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
            self._errands.begin(channel.withdraw())

    @asynccontextmanager
    async def call_unified_center(self, caller: Leg, timeout: float) -> AsyncIterator[Channel]:
        """1414's channel, once answered."""
        channel = self.channels.new()
        async with self._called(channel, "PJSIP/unified-center", caller, "111", timeout):
            yield channel

    @asynccontextmanager
    async def call_number(
        self, number: str, shown: str, timeout: float, *, beside: Leg | None = None
    ) -> AsyncIterator[Channel]:
        """The channel of a telephone number, once answered: digits, + first where international."""
        if not (_NUMBER.fullmatch(number) and _NUMBER.fullmatch(shown)):
            raise NotAnswered("no_number")
        channel = self.channels.new()
        endpoint = f"PJSIP/network/{self._network_uri.format(number=number)}"
        name = f'"{shown}" <{shown}>'
        async with self._called(channel, endpoint, beside, name, timeout):
            yield channel

    @asynccontextmanager
    async def _called(
        self, channel: Channel, endpoint: str, beside: Leg | None, shown: str, timeout: float
    ) -> AsyncIterator[None]:
        try:
            try:
                async with asyncio.timeout(timeout):
                    await self._ari.request(
                        "POST",
                        f"channels/{channel.id}",
                        {
                            "endpoint": endpoint,
                            "app": self._ari.application,
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
                self.channels.forget(channel)

    # Who hears whom

    @asynccontextmanager
    async def room(self, caller: Leg, *, keys_to_us: bool = True) -> AsyncIterator[Room]:
        """A bridge for a caller's conversation, with nobody in it; destroyed with the block."""
        bridge = f"{TALK}{caller.id}-{secrets.token_hex(4)}"
        room = Room(self._ari, bridge, keys_to_us)
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
        room = Room(self._ari, bridge, absorb=True, inside=inside)
        try:
            yield room
        finally:
            await asyncio.shield(self._part(room, bridge, caller))

    async def _part(self, room: Room, bridge: str, caller: Leg) -> None:
        # What is played to a leg while its bridge is being destroyed, Asterisk forgets without a
        # word. The caller, to whom alone something may be played next, is taken out before: a leg
        # that was taken out is free when the answer comes.
        channels = self.channels
        is_gone = caller.id in channels and channels[caller.id].is_gone
        if caller in room.inside and not is_gone:
            with suppress(Unreachable):
                await room.leave(caller)
        await channels.destroy(bridge)

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
        ear = self.channels.new()
        bridge = f"{OVERHEARD}{ear.id}"
        try:
            await self._snoop(party, ear, "out" if whispering else "none")
            await self._build(bridge, "mixing")
            room = Room(self._ari, bridge, absorb=True)
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
                await asyncio.shield(self.channels.destroy(bridge))
                await asyncio.shield(ear.hang_up())
            finally:
                self.channels.forget(ear)

    async def _snoop(self, party: Leg, ear: Channel, whisper: str) -> None:
        how = {"spy": "both", "whisper": whisper, "app": self._ari.application}
        try:
            async with asyncio.timeout(SNOOP):
                await self._ari.request("POST", f"channels/{party.id}/snoop/{ear.id}", how)
                await ear.answered()
        except (Gone, Refused, NotAnswered):
            raise LegGone(f"channel {party.id} hung up") from None
        except TimeoutError:
            raise WeFailed(f"the switch did not begin to listen to {party.id}") from None

    async def _build(self, bridge: str, kind: str) -> None:
        await self._ari.request(
            "POST",
            "bridges",
            {"type": kind, "bridgeId": bridge, "name": self._ari.application},
        )

    # Recording

    async def start_recording(self, caller: Leg, file: Path) -> None:
        """Two channels: what the caller says, and hears. Raises RecordingUnproved."""
        await self._sure_to_record()
        await self._recorder.start(self.channels[caller.id].name, file)

    async def stop_recording(self, caller: Leg, file: Path) -> None:
        """Return when it is proved stopped. Raises RecordingUnproved."""
        await self._sure_to_record()
        channel = self.channels[caller.id]
        await self._recorder.stop(channel.name, file, gone=channel.is_gone)

    async def _sure_to_record(self) -> None:
        """A recording of a call that is another's by now is not touched."""
        try:
            await self.channels.lease.sure()
        except Fenced as exc:
            raise RecordingUnproved(str(exc)) from exc

    async def recording_closed(self, file: Path) -> None:
        """Return when it is proved closed, its channel having gone. Raises RecordingUnproved."""
        await self._recorder.stop("", file, gone=True)
