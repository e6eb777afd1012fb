"""A mixing bridge of Asterisk, for a conversation (`calls.ports.Bridge`)."""

from collections.abc import Sequence
from contextlib import suppress

from callcenter.telephony.asterisk.ari import Ari, AriRequestFailed, ChannelNotFound
from callcenter.telephony.calls.ports import Leg, LegHungUp


class AsteriskBridge:
    """A bridge, and the legs that this controller put into it."""

    def __init__(self, ari: Ari, bridge: str, absorb: bool, inside: Sequence[Leg] = ()) -> None:
        """`absorb`: the others do not hear the keys that somebody in it presses."""
        self._ari = ari
        self._bridge = bridge
        self._absorb = absorb
        self._inside = {leg.id: leg for leg in inside}

    @property
    def inside(self) -> list[Leg]:
        """Legs that were put in and not taken out; any of them may have hung up."""
        return list(self._inside.values())

    async def enter(self, *legs: Leg) -> None:
        """Put legs into the bridge, with one request. Raises LegHungUp when one has hung up."""
        ids = ",".join(leg.id for leg in legs)
        try:
            await self._ari.request(
                "POST",
                f"bridges/{self._bridge}/addChannel",
                {"channel": ids, "absorbDTMF": str(self._absorb).lower()},
            )
            self._inside.update((leg.id, leg) for leg in legs)
        except (ChannelNotFound, AriRequestFailed):
            raise LegHungUp(f"channel {ids} hung up") from None

    async def ensure(self, leg: Leg) -> None:
        """Put a leg into the bridge unless it is there. Raises LegHungUp when it has hung up."""
        bridge = await self._ari.request("GET", f"bridges/{self._bridge}")
        if leg.id not in bridge["channels"]:
            await self.enter(leg)

    async def leave(self, leg: Leg) -> None:
        """Take a leg out of the bridge; no error when it has hung up or is not in it."""
        self._inside.pop(leg.id, None)
        path = f"bridges/{self._bridge}/removeChannel"
        with suppress(ChannelNotFound, AriRequestFailed):
            await self._ari.request("POST", path, {"channel": leg.id}, within=2.0)
