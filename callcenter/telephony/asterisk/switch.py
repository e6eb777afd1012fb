"""Asterisk as the switch (`calls.ports.Switch`): originate, bridge, snoop, record."""

import asyncio
import logging
import math
import re
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Protocol

from callcenter.platform.core.background_tasks import BackgroundTasks
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.settings import Settings
from callcenter.telephony.asterisk.ari import AriRequestFailed, AriUnavailable, ChannelNotFound
from callcenter.telephony.asterisk.bridge import AsteriskBridge
from callcenter.telephony.asterisk.channel import Channel
from callcenter.telephony.asterisk.fence import Fenced
from callcenter.telephony.asterisk.node import AsteriskNode
from callcenter.telephony.asterisk.resource_ids import CONVERSATION_BRIDGE_PREFIX, SNOOP_PREFIX
from callcenter.telephony.calls.ports import Leg, LegHungUp, NotAnswered, RecordingUnconfirmed

log = logging.getLogger(__name__)

_NUMBER = re.compile(r"\+?[0-9]{2,15}")  # E.164, and the short numbers of services
NO_ORIGINATOR = "originator channel was not found"  #: the caller has just hung up
SNOOP_TIMEOUT = 2.0  # seconds for a snoop channel to be there; takes about two milliseconds


class CallRecorder(Protocol):
    """Starts and stops recordings, and confirms it; see `asterisk.mixmonitor`."""

    async def start(self, channel: str, file: Path) -> None: ...

    async def stop(self, channel: str, file: Path, *, gone: bool) -> bool: ...


class AsteriskSwitch:
    """Originates, bridges, snoops and records channels, for one controller."""

    def __init__(self, settings: Settings, node: AsteriskNode, recorder: CallRecorder) -> None:
        self.node = node
        self.channels = node.channels
        self._ari = node.ari
        self._network_uri = settings.network_uri
        self._recorder = recorder
        self._ringing: dict[str, Channel] = {}
        self._tasks = BackgroundTasks()

    # Originating

    @asynccontextmanager
    async def ring(
        self, extension: str, caller: Leg | None, shown: str, timeout: float
    ) -> AsyncIterator[Channel]:
        """Ring a consultant; gives the answered channel. The telephone shows 111 and `shown`."""
        name = f'"111 {shown}" <111>'
        channel = self._ringing[extension] = self.channels.new()
        try:
            async with self.originate(channel, f"PJSIP/{extension}", caller, name, timeout):
                yield channel
        finally:
            if self._ringing.get(extension) is channel:
                del self._ringing[extension]

    def stop_ringing(self, extension: str) -> None:
        """Stop ringing this consultant, unless answered: `ring` raises NotAnswered("withdrawn")."""
        channel = self._ringing.get(extension)
        if channel is not None:
            self._tasks.spawn(channel.withdraw())

    @asynccontextmanager
    async def call_unified_center(self, caller: Leg, timeout: float) -> AsyncIterator[Channel]:
        """Dial 1414; gives the answered channel."""
        channel = self.channels.new()
        async with self.originate(channel, "PJSIP/unified-center", caller, "111", timeout):
            yield channel

    @asynccontextmanager
    async def call_number(
        self, number: str, shown: str, timeout: float, *, beside: Leg | None = None
    ) -> AsyncIterator[Channel]:
        """Dial a number (digits, + first where international); gives the answered channel."""
        if not (_NUMBER.fullmatch(number) and _NUMBER.fullmatch(shown)):
            raise NotAnswered("no_number")
        channel = self.channels.new()
        endpoint = f"PJSIP/network/{self._network_uri.format(number=number)}"
        name = f'"{shown}" <{shown}>'
        async with self.originate(channel, endpoint, beside, name, timeout):
            yield channel

    @asynccontextmanager
    async def originate(
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
                    await channel.wait_answered()
            except TimeoutError:
                raise NotAnswered("no_answer") from None
            except AriRequestFailed as exc:
                if beside and NO_ORIGINATOR in str(
                    exc
                ):  # no fault of the party that was to be rung
                    raise LegHungUp(f"leg {beside.id} hung up") from None
                # Asterisk has no way to that telephone.
                log.warning("originate failed: %s", exc)  # the endpoint has the number
                raise NotAnswered("unreachable") from None
            yield
        finally:
            try:
                await asyncio.shield(channel.hang_up())
            finally:  # also when the caller left this very moment
                self.channels.untrack(channel)

    # Bridges

    @asynccontextmanager
    async def bridge(
        self, caller: Leg, *, keys_to_us: bool = True
    ) -> AsyncIterator[AsteriskBridge]:
        """Create an empty bridge for a caller's conversation; destroyed with the block."""
        bridge_id = f"{CONVERSATION_BRIDGE_PREFIX}{caller.id}-{secrets.token_hex(4)}"
        bridge = AsteriskBridge(self._ari, bridge_id, keys_to_us)
        try:
            # Else packets may be passed on below Asterisk, and nobody would see the keys.
            await self._create_bridge(bridge_id, "mixing,dtmf_events" if keys_to_us else "mixing")
            yield bridge
        finally:
            await asyncio.shield(self._destroy(bridge, bridge_id, caller))

    @asynccontextmanager
    async def existing_bridge(
        self, bridge_id: str, caller: Leg, inside: Sequence[Leg]
    ) -> AsyncIterator[AsteriskBridge]:
        """Use the bridge of an ongoing conversation, with these in it; destroyed with the block."""
        bridge = AsteriskBridge(self._ari, bridge_id, absorb=True, inside=inside)
        try:
            yield bridge
        finally:
            await asyncio.shield(self._destroy(bridge, bridge_id, caller))

    async def _destroy(self, bridge: AsteriskBridge, bridge_id: str, caller: Leg) -> None:
        # What is played to a leg while its bridge is being destroyed, Asterisk forgets without a
        # word. The caller, to whom alone something may be played next, is taken out before: a leg
        # that was taken out is free when the answer comes.
        channels = self.channels
        is_gone = caller.id in channels and channels[caller.id].is_gone
        if caller in bridge.inside and not is_gone:
            with suppress(AriUnavailable):
                await bridge.leave(caller)
        await channels.destroy(bridge_id)

    @asynccontextmanager
    async def connect(
        self, one: Leg, other: Leg, *, keys_to_us: bool = True
    ) -> AsyncIterator[None]:
        """Bridge two legs within the block; keys are events for us, or for the other leg.

        Raises LegHungUp when `one` has hung up meanwhile, NotAnswered when `other` has.
        """
        async with self.bridge(one, keys_to_us=keys_to_us) as bridge:
            await bridge.enter(one)
            try:
                await bridge.enter(other)
            except LegHungUp:
                raise NotAnswered("left") from None
            yield

    @asynccontextmanager
    async def snoop(self, party: Leg, listener: Leg, *, whispering: bool) -> AsyncIterator[None]:
        """Let `listener` hear what `party` says and hears, unheard or heard by `party` alone.

        The snoop is a channel of Asterisk's own, with the id of one that we originated: when it
        leaks it is hung up like one.
        """
        snoop_channel = self.channels.new()
        bridge_id = f"{SNOOP_PREFIX}{snoop_channel.id}"
        try:
            await self._snoop(party, snoop_channel, "out" if whispering else "none")
            await self._create_bridge(bridge_id, "mixing")
            bridge = AsteriskBridge(self._ari, bridge_id, absorb=True)
            try:
                await bridge.enter(snoop_channel)
            except LegHungUp:
                raise LegHungUp(f"channel {party.id} hung up") from None
            try:
                await bridge.enter(listener)
            except LegHungUp:
                raise NotAnswered("left") from None
            yield
        finally:
            try:
                await asyncio.shield(self.channels.destroy(bridge_id))
                await asyncio.shield(snoop_channel.hang_up())
            finally:
                self.channels.untrack(snoop_channel)

    async def _snoop(self, party: Leg, snoop_channel: Channel, whisper: str) -> None:
        how = {"spy": "both", "whisper": whisper, "app": self._ari.application}
        try:
            async with asyncio.timeout(SNOOP_TIMEOUT):
                await self._ari.request(
                    "POST", f"channels/{party.id}/snoop/{snoop_channel.id}", how
                )
                await snoop_channel.wait_answered()
        except (ChannelNotFound, AriRequestFailed, NotAnswered):
            raise LegHungUp(f"channel {party.id} hung up") from None
        except TimeoutError:
            raise OperationFailed(f"Asterisk did not begin to snoop on {party.id}") from None

    @asynccontextmanager
    async def join_conversation(self, leg: Leg, extension: str) -> AsyncIterator[None]:
        """Put a further leg of a consultant's telephone into the conversation of its first.

        Raises LegHungUp when there is none, or when `leg` has hung up.
        """
        prefix = f"PJSIP/{extension}-"
        legs = {
            channel["id"]
            for channel in await self._ari.request("GET", "channels")
            if channel["name"].startswith(prefix) and channel["id"] != leg.id
        }
        for found in await self._ari.request("GET", "bridges"):
            if found["id"].startswith(CONVERSATION_BRIDGE_PREFIX) and legs & {*found["channels"]}:
                bridge = AsteriskBridge(self._ari, found["id"], absorb=True)
                break
        else:
            raise LegHungUp(f"consultant {extension} is in no conversation")
        await bridge.enter(leg)
        try:
            yield
        finally:
            await asyncio.shield(bridge.leave(leg))

    async def _create_bridge(self, bridge_id: str, kind: str) -> None:
        await self._ari.request(
            "POST",
            "bridges",
            {"type": kind, "bridgeId": bridge_id, "name": self._ari.application},
        )

    # Recording

    async def start_recording(self, caller: Leg, file: Path) -> None:
        """Record what the caller says, and hears, in two channels. Raises RecordingUnconfirmed."""
        self._check_fence()
        await self._recorder.start(self.channels[caller.id].name, file)

    async def stop_recording(self, caller: Leg, file: Path) -> bool:
        """Stop, and return once that is confirmed: whether it is empty.

        Asterisk that died took up to a second with it, so an empty file proves nothing then. Raises
        RecordingUnconfirmed.
        """
        self._check_fence()
        channel = self.channels[caller.id]
        is_empty = await self._recorder.stop(channel.name, file, gone=channel.is_gone)
        return is_empty and not channel.is_lost

    def _check_fence(self) -> None:
        """Raise RecordingUnconfirmed if the call, and so its recording, is another's by now."""
        try:
            self.node.fence.check()
        except Fenced as exc:
            raise RecordingUnconfirmed(str(exc)) from exc

    async def recording_closed(self, file: Path) -> None:
        """Return when it is proved closed, its channel having gone. Raises RecordingUnconfirmed."""
        await self._recorder.stop("", file, gone=True)
