"""What a life of a controller left in the switch: its calls, which become ours, and the rest."""

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from callcenter.asterisk.ari import Ari
from callcenter.asterisk.channel import Channel, hush
from callcenter.asterisk.channels import Channels
from callcenter.asterisk.names import CALLED, OVERHEARD, TALK, caller_of, life_of
from callcenter.errors import WeFailed
from callcenter.line.codes import extension_of

log = logging.getLogger(__name__)

Told = Mapping[str, Any]  # of a channel, by the switch


@dataclass(frozen=True, slots=True)
class Estate:
    """What one life left. Ids of channels, and of channels by the id of the bridge they are in."""

    life: str
    channels: Mapping[str, Told]  #: all that the switch has now
    left: frozenset[str]  #: those of them that were this life's
    ours: frozenset[str]  #: those of these that are in our application by now
    talks: Mapping[str, frozenset[str]]  #: conversations
    ears: frozenset[str]  #: bridges by which somebody listened to one
    bridges: frozenset[str]  #: all that the switch has now

    @property
    def carriers(self) -> set[str]:
        """The legs that calls go on with: of callers, or of those whom we called and who talk."""
        callers = {each for each in self.left if not each.startswith(CALLED)}
        callers -= {each for each in callers if extension_of(self.channels[each]["name"])}
        return callers | {caller_of(each) for each in self.talks} & self.left

    @property
    def orphaned(self) -> dict[str, frozenset[str]]:
        """Conversations whose caller has left meanwhile."""
        return {b: legs for b, legs in self.talks.items() if caller_of(b) not in self.left}

    @property
    def deserted(self) -> set[str]:
        """The carriers with whom nobody talks."""
        return {each for each in self.carriers if not self._company(each)}

    @property
    def rest(self) -> set[str]:
        """What no call goes on with: telephones that ring, ears, who dialled a code."""
        talking = {each for carrier in self.carriers for each in self._company(carrier)}
        return set(self.left - self.carriers - talking)

    @property
    def in_vain(self) -> set[str]:
        """Of the rest, consultants who have answered, or dialled, and whom nobody hears.

        But for those whose caller has just left.
        """
        orphans = {each for inside in self.orphaned.values() for each in inside}
        return {
            each
            for each in self.rest - orphans
            if self.channels[each]["state"] == "Up" and extension_of(self.channels[each]["name"])
        }

    def _company(self, carrier: str) -> frozenset[str]:
        """Who is in the conversation of this leg."""
        return self.talks.get(self.talk_of(carrier) or "", frozenset()) - {carrier}

    def talk_of(self, carrier: str) -> str | None:
        """The bridge of this leg's conversation."""
        return next((each for each in self.talks if caller_of(each) == carrier), None)


@dataclass(frozen=True, slots=True)
class LeftCall:
    """A call whose controller is no more, its legs in our application now."""

    leg: Channel
    bridge: str | None
    inside: Collection[Channel]  #: who is in the bridge, perhaps without the leg: it is aside then


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of an estate. `half` are channels of calls that could not be made ours whole.

    Some of them may be ours by now; whoever looks again says so.
    """

    calls: Sequence[LeftCall]
    half: frozenset[str]


async def look(ari: Ari, life: str, living: Collection[str], half: Collection[str] = ()) -> Estate:
    """What the switch still has of a life of a controller, and none of the `living` has taken over.

    But for those that were taken by `half`. The switch names a channel that was moved with the
    application of its dead controller too.
    """
    holders: dict[str, str] = {}
    for told in await ari.request("GET", "applications"):
        for each in told["channel_ids"]:
            if told["name"] in living or (holders.get(each) not in living and told["name"] == life):
                holders[each] = told["name"]
            else:
                holders.setdefault(each, told["name"])
    ours = {each for each in half if holders.get(each) == ari.application}
    holders |= dict.fromkeys(ours, life)
    channels = {told["id"]: told for told in await ari.request("GET", "channels")}
    left = {each for each, told in channels.items() if holders.get(each, _rings_for(told)) == life}
    elsewhere = holders.keys() - left
    touched: dict[str, frozenset[str]] = {}
    bridges = await ari.request("GET", "bridges")
    for bridge in bridges:
        name, inside = bridge["id"], frozenset(bridge["channels"])
        theirs = inside | {caller_of(name)}
        if (bridge["name"] == life or left & theirs) and not elsewhere & theirs:
            touched[name] = inside
    return Estate(
        life,
        channels,
        frozenset(left),
        frozenset(left & ours),
        {name: legs for name, legs in touched.items() if name.startswith(TALK)},
        frozenset(name for name in touched if name.startswith(OVERHEARD)),
        frozenset(bridge["id"] for bridge in bridges),
    )


def _rings_for(told: Told) -> str:
    """The life that called a channel which is in no application yet.

    One that was answered is on its way from one application to another: it was taken over, whoever
    called it.
    """
    return "" if told["state"] == "Up" else life_of(told["id"])


async def take(ours: Channels, estate: Estate) -> Taken:
    """Make the calls ours, unheard; end what is none: telephones that ring, ears, orphans.

    Those who are there in vain stay, and are the caller's to tell so.
    """
    for bridge in estate.ears:
        await ours.destroy(bridge)
    taking = [_take_call(ours, estate, each) for each in sorted(estate.carriers)]
    taken = await asyncio.gather(*taking)
    await asyncio.gather(*map(ours.end, estate.rest - estate.in_vain))
    for bridge in estate.orphaned:
        await ours.destroy(bridge)
    half = [each for each in taken if isinstance(each, frozenset)]
    calls = [each for each in taken if isinstance(each, LeftCall)]
    return Taken(calls, frozenset().union(*half))


async def _take_call(ours: Channels, estate: Estate, carrier: str) -> LeftCall | frozenset[str]:
    """The call of this leg, or the channels of it that may be ours by now."""
    bridge = estate.talk_of(carrier)
    inside = estate.talks[bridge] if bridge else frozenset()
    legs = [each for each in (carrier, *(inside - {carrier})) if each in estate.channels]
    taking = [take_leg(ours, estate, each) for each in legs]
    taken = await asyncio.gather(*taking, return_exceptions=True)
    channels = [each for each in taken if isinstance(each, Channel)]
    if len(channels) == len(legs):
        return LeftCall(channels[0], bridge, [c for c in channels if c.id in inside])
    for fault in taken:
        if isinstance(fault, BaseException):
            log.error("call %s cannot be taken over yet: %s", carrier, fault, exc_info=_ours(fault))
    return frozenset(legs)


async def take_leg(ours: Channels, estate: Estate, leg: str) -> Channel:
    """Make it ours, unheard. Raises WeFailed when that is not sure."""
    await hush(ours.ari, leg, estate.life)
    return await ours.adopt(estate.channels[leg], is_ours=leg in estate.ours)


def _ours(fault: BaseException) -> BaseException | None:
    """What is an error of ours is logged whole."""
    return None if isinstance(fault, WeFailed) else fault
