"""Deaths of a consultant's telephone: as Asterisk shows each, and in which states of a call."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Protocol, cast

import pytest

from callcenter.telephony.asterisk.channel import (
    RTP_TIMEOUT_CAUSE,
    UNKNOWN_CALL_CAUSE,
    UNREACHABLE,
    Channel,
    Registration,
)
from callcenter.telephony.calls.ports import LegHungUp, NotAnswered
from callcenter.telephony.controller.telephone_monitor import CHECK_INTERVAL, TelephoneMonitor
from tests.flow.legs import FakeLeg
from tests.flow.scenarios import LATE

HOME = Registration("201;@home", "1764000000")
AGAIN = replace(HOME, expires="1764000060")
SILENT = replace(HOME)  #: registered so, it does not answer OPTIONS
ELSEWHERE = replace(HOME, contact="201;@other")
NAME = "PJSIP/201-0000000a"  # of a channel of a consultant's telephone
ENDED_BY_US = 32  # what Asterisk says of a channel that was hung up through ARI
THIRD_PARTY = "          "  #: in place of keys: stays for a while
LIMIT = 15.0  # seconds from a death until the leg has ended


class WatchedLeg(Protocol):
    """A leg that a monitor may watch."""

    @property
    def is_gone(self) -> bool: ...


class Watch:
    """A monitor of one leg, with a clock of its own."""

    def __init__(self, leg: WatchedLeg, on_action: Callable[[str], None] = lambda _: None) -> None:
        self.now = 0.0
        self.actions: list[str] = []
        self._on_action = on_action
        channels = SimpleNamespace(all=lambda: [] if leg.is_gone else [leg])
        ami = SimpleNamespace(action=self._action)
        self.monitor = TelephoneMonitor(cast(Any, channels), cast(Any, ami), lambda: self.now)

    async def _action(self, fields: dict[str, str]) -> None:
        self.actions.append(fields["Action"])
        self._on_action(fields["Action"])

    async def look(self, seconds: float) -> None:
        """Look again and again, for this long."""
        for _ in range(round(seconds / CHECK_INTERVAL)):
            self.now += CHECK_INTERVAL
            await self.monitor.check()


class Telephone:
    """A telephone in a conversation, and the channel that Asterisk has of it."""

    application = "line-1"  # the rest of what a channel knows of ARI is `request`

    def __init__(self) -> None:
        self.channel = Channel(cast(Any, self), "leg", NAME)
        self.channel.is_in_application = True
        self.registered: Registration | None = HOME
        self.sends, self.knows_the_call = True, True
        self._packets = 0
        self._watch = Watch(self.channel, self._take_action)

    async def request(
        self, method: str, path: str, query: Mapping[str, str] | None = None, **_: object
    ) -> object:
        """Answer as ARI does about this channel."""
        match method, path.rpartition("/")[2]:
            case "GET", "rtp_statistics":
                self._packets += self.sends
                return {"rxcount": self._packets}
            case "GET", "variable":
                return {"value": self._value((query or {})["variable"])}
            case "DELETE", _:
                self.ended(ENDED_BY_US, soft=True)
        return None

    def _value(self, function: str) -> str:
        registered = self.registered
        if registered is None:
            return ""
        if function.startswith("PJSIP_AOR"):
            return registered.contact
        if "expiration_time" in function:
            return registered.expires
        return UNREACHABLE if registered is SILENT else "Reachable"

    def _take_action(self, action: str) -> None:
        if action == "AOCMessage" and not self.knows_the_call:
            self.ended(UNKNOWN_CALL_CAUSE)

    def ended(self, cause: int, *, soft: bool = False) -> None:
        """Have Asterisk end the channel, for this reason; `soft`: by itself or by us."""
        self.channel.handle({"type": "ChannelHangupRequest", "cause": cause, "soft": soft})
        self.channel.handle({"type": "ChannelDestroyed", "cause": cause})

    async def look(self, seconds: float) -> None:
        await self._watch.look(seconds)


def _falls_silent(registered: Registration | None) -> Callable[[Telephone], None]:
    def die(telephone: Telephone) -> None:
        telephone.sends, telephone.registered = False, registered
        telephone.knows_the_call = False

    return die


def _is_ended(cause: int, *, soft: bool = False) -> Callable[[Telephone], None]:
    return lambda telephone: telephone.ended(cause, soft=soft)


#: What happens to a telephone that dies, as far as Asterisk notices it; causes are those of Q.850.
DEATHS = {
    "killed": _falls_silent(SILENT),
    "unregistered": _falls_silent(None),
    "elsewhere": _falls_silent(ELSEWHERE),
    "started anew": _falls_silent(AGAIN),
    "without packets": _is_ended(RTP_TIMEOUT_CAUSE, soft=True),
    "out of order": _is_ended(27),
    "network out of order": _is_ended(38),
    "temporary failure": _is_ended(41),
    "recovery on timer expiry": _is_ended(102),
}


#: What a consultant does who dies and leaves the caller alone, and what others do who are rung.
ALONE: dict[str, tuple[str, tuple[str | NotAnswered, ...]]] = {
    "talking": ("!", ()),
    "held": ("*5 !", ()),
    "muted": ("*6 !", ()),
    "held and muted": ("*5*6 !", ()),
    "consulting": ("*2201#!", (LATE,)),
    "transferring": ("*3201#!", (LATE,)),
    "back from a third party": ("*2201# *9 !", (THIRD_PARTY,)),
    "calling outside": ("*477012345678#!", ()),
}
#: The same, leaving the caller with somebody.
BESIDE: dict[str, tuple[str, tuple[str | NotAnswered, ...]]] = {
    "third party": ("*2201#  !", (THIRD_PARTY,)),
    "together": ("*2201#  *8 !", (THIRD_PARTY,)),
    "consulting": ("*2201#!", (THIRD_PARTY,)),
    "transferring": ("*3201#!", (THIRD_PARTY,)),
    "outside": ("*477012345678#  !", ()),
    "outside together": ("*477012345678#  *8 !", ()),
}
of_each_alone = pytest.mark.parametrize(("keys", "others"), ALONE.values(), ids=ALONE)
of_each_beside = pytest.mark.parametrize(("keys", "others"), BESIDE.values(), ids=BESIDE)


async def die(leg: FakeLeg, kind: str) -> None:
    """Have the telephone of this leg die; the leg ends as the monitor and the channel say."""
    telephone = Telephone()
    await telephone.look(2 * CHECK_INTERVAL)
    DEATHS[kind](telephone)
    await telephone.look(LIMIT)
    assert telephone.channel.is_gone, f"still there after {LIMIT:g} s"
    leg.connection_lost = telephone.channel.connection_lost
    leg.leaves(LegHungUp("died"))
