"""End legs of dead telephones: silent, and unregistered, elsewhere or begun anew.

Asterisk itself ends a leg that is silent for `silent_telephone` seconds, but for a telephone that
holds: that one may rightly send nothing for as long as it likes. A telephone that is there and
silent keeps its leg here too, and so does one that sends sound and does not answer OPTIONS: a slow
network cuts no conversation. See docs/decisions/0078.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from callcenter.platform.core.beats import until_beat
from callcenter.platform.core.errors import OperationFailed
from callcenter.telephony.asterisk.ami import Ami
from callcenter.telephony.asterisk.ari import AriRequestFailed
from callcenter.telephony.asterisk.channel import Channel, Registration
from callcenter.telephony.asterisk.channel_registry import ChannelRegistry
from callcenter.telephony.calls.conversation.feature_codes import extension_of
from callcenter.telephony.calls.ports import LegHungUp

log = logging.getLogger(__name__)

CHECK_INTERVAL = 3.0  # seconds
#: Seconds between two looks for legs that have begun: fewer than a telephone takes to start anew,
#: or its new registration would be taken for that of the leg.
NEW_LEGS_INTERVAL = 0.5
#: Seconds of silence after which a telephone must be there. With the interval it is at most 12 s
#: until a leg is ended: its caller is told within 15 s. OPTIONS have gone out all that time.
SILENCE_LIMIT = 8.0


@dataclass
class _WatchedLeg:
    """A leg: how its telephone is registered, and when it was heard last."""

    registration: Registration | None
    packets: int
    heard_at: float  # on the monotonic clock


class TelephoneMonitor:
    """Watches the answered legs of consultants that one controller holds."""

    def __init__(
        self, channels: ChannelRegistry, ami: Ami, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` is in seconds."""
        self._channels = channels
        self._ami = ami
        self._clock = clock
        self._legs: dict[str, _WatchedLeg] = {}

    async def run(self) -> None:
        """Check all legs at an interval, until cancelled."""
        checked_at = self._clock()
        while True:
            await until_beat(NEW_LEGS_INTERVAL)
            if self._clock() - checked_at < CHECK_INTERVAL - NEW_LEGS_INTERVAL / 2:
                await self.watch_new_legs()
            else:
                checked_at = self._clock()
                await self.check()

    async def watch_new_legs(self) -> None:
        """Read how the telephones of legs that have begun are registered."""
        new = [(each, leg) for each, leg in self._consultants_legs() if leg.id not in self._legs]
        await self._check_legs(new)

    async def check(self) -> None:
        """Check each leg once; what cannot be asked is asked again the next time."""
        legs = self._consultants_legs()
        ids = {channel.id for _, channel in legs}
        self._legs = {leg: watched for leg, watched in self._legs.items() if leg in ids}
        await self._check_legs(legs)

    def _consultants_legs(self) -> list[tuple[str, Channel]]:
        """The answered legs, each with the extension of its telephone."""
        return [
            (extension, channel)
            for channel in self._channels.all()
            if channel.is_in_application and (extension := extension_of(channel.name))
        ]

    async def _check_legs(self, legs: list[tuple[str, Channel]]) -> None:
        for extension, channel in legs:
            try:
                await self._check_leg(extension, channel)
            except (LegHungUp, AriRequestFailed):  # it hangs up this moment
                continue
            except OperationFailed as exc:
                log.info("telephone not checked: consultant %s: %s", extension, exc)

    async def _check_leg(self, extension: str, channel: Channel) -> None:
        packets = await channel.packets_received()
        watched = self._legs.get(channel.id)
        if watched is None:
            registration = await channel.registration(extension)
            self._legs[channel.id] = _WatchedLeg(registration, packets, self._clock())
        elif packets != watched.packets:
            watched.packets, watched.heard_at = packets, self._clock()
        else:
            # The answer, or that there is none, is in Asterisk the next time.
            await self._ami.action({"Action": "PJSIPQualify", "Endpoint": extension})
            if self._clock() - watched.heard_at > SILENCE_LIMIT:
                await self._check_telephone(extension, channel, watched)

    async def _check_telephone(
        self, extension: str, channel: Channel, watched: _WatchedLeg
    ) -> None:
        """End the silent leg of a telephone that is gone; ask one that registered again."""
        before, now = watched.registration, await channel.registration(extension)
        if now is None:
            why = "not registered"
        elif before is None or now.contact != before.contact:
            why = "registered from elsewhere"
        elif not await channel.is_reachable(now):
            why = "unreachable"
        else:
            if now.expires != before.expires:
                watched.registration = now
                await self._probe(channel)
            return
        log.warning("telephone died: consultant %s: %s: leg ended", extension, why)
        await channel.cut_off()

    async def _probe(self, channel: Channel) -> None:
        """Ask the telephone whether it knows of this call, by an INFO that means nothing.

        One that began anew answers 481, and Asterisk ends the channel (RFC 3261, 12.2.1.2).
        """
        channel.is_probed = True
        information = {"MsgType": "D", "ChargeType": "Free"}
        await self._ami.action({"Action": "AOCMessage", "Channel": channel.name, **information})
