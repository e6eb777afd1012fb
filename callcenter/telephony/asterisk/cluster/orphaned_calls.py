"""Find what a dead instance left in Asterisk, take its calls over, and end the rest."""

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from callcenter.platform.core.errors import OperationFailed
from callcenter.telephony.asterisk.ari import (
    Ari,
    AriRequestFailed,
    AriUnavailable,
    ChannelNotFound,
)
from callcenter.telephony.asterisk.channel import Channel, stop_playbacks
from callcenter.telephony.asterisk.channel_registry import ChannelRegistry
from callcenter.telephony.asterisk.resource_ids import (
    CONVERSATION_BRIDGE_PREFIX,
    ORIGINATED_PREFIX,
    SNOOP_PREFIX,
    caller_channel_of,
    owner_of,
)
from callcenter.telephony.calls.conversation.feature_codes import extension_of

log = logging.getLogger(__name__)

Snapshot = Mapping[str, Any]  # of a channel or bridge, as ARI describes it
#: Where the dialplan serves a caller whom no controller serves (`dialplan/extensions.conf.j2`).
STRANDED = {"context": "fallback", "extension": "stranded", "priority": "1"}


@dataclass(frozen=True, slots=True)
class OrphanedChannels:
    """Channels that one instance left, by id, and conversations by the id of their bridge."""

    instance: str
    channels: Mapping[str, Snapshot]  #: all that Asterisk has now
    orphans: frozenset[str]  #: those of them that were this instance's
    ours: frozenset[str]  #: those of these that are in our application by now
    conversations: Mapping[str, frozenset[str]]  #: the channels in each
    snoop_bridges: frozenset[str]  #: bridges by which somebody listened to one
    bridges: frozenset[str]  #: all that Asterisk has now

    @property
    def call_channels(self) -> set[str]:
        """The legs that calls go on with: of callers, or of those whom we called and who talk."""
        callers = {each for each in self.orphans if not each.startswith(ORIGINATED_PREFIX)}
        callers -= {each for each in callers if extension_of(self.channels[each]["name"])}
        return callers | {caller_channel_of(each) for each in self.conversations} & self.orphans

    @property
    def callerless_conversations(self) -> dict[str, frozenset[str]]:
        """Conversations whose caller has left meanwhile."""
        return {
            b: legs
            for b, legs in self.conversations.items()
            if caller_channel_of(b) not in self.orphans
        }

    @property
    def unattended_legs(self) -> set[str]:
        """Legs that calls go on with, in a conversation with nobody."""
        return {each for each in self.call_channels if not self._others_with(each)}

    @property
    def waiting_callers(self) -> set[str]:
        """Callers with whom nobody talks, whom the dialplan's fallback can serve."""
        return {each for each in self.unattended_legs if not each.startswith(ORIGINATED_PREFIX)}

    @property
    def leftover_channels(self) -> set[str]:
        """Channels that no call goes on with: telephones that ring, snoops, dialled codes."""
        talking = {each for leg in self.call_channels for each in self._others_with(leg)}
        return set(self.orphans - self.call_channels - talking)

    @property
    def stranded_consultants(self) -> set[str]:
        """Consultants on an answered or dialled leg without a caller.

        Except those whose caller has just hung up.
        """
        callerless = {each for inside in self.callerless_conversations.values() for each in inside}
        return {
            each
            for each in self.leftover_channels - callerless
            if self.channels[each]["state"] == "Up" and extension_of(self.channels[each]["name"])
        }

    def _others_with(self, leg: str) -> frozenset[str]:
        """The other channels in the conversation of this leg."""
        return self.conversations.get(self.bridge_of(leg) or "", frozenset()) - {leg}

    def bridge_of(self, leg: str) -> str | None:
        """The bridge of this leg's conversation."""
        return next((each for each in self.conversations if caller_channel_of(each) == leg), None)


@dataclass(frozen=True, slots=True)
class OrphanedCall:
    """A call of a dead controller, its legs in our application now."""

    leg: Channel
    bridge: str | None
    #: Those in the bridge, perhaps without the leg: it is held then. Who has left is not there.
    inside: Collection[Channel]


@dataclass(frozen=True, slots=True)
class TakeoverResult:
    """The calls that are ours now; `half` are channels of calls that could not be moved whole.

    Some of them may be ours by now: give them to the next `find_orphans`.
    """

    calls: Sequence[OrphanedCall]
    half: frozenset[str]


async def find_orphans(
    ari: Ari,
    instance: str,
    alive: Collection[str],
    half: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> OrphanedChannels:
    """Find what Asterisk still has of an instance, and none of the `alive` has taken over.

    `half` are channels that we took over by halves, by the instance from which: they are that one's
    yet, and no other's. Asterisk names a channel that was moved with the application of its dead
    controller too, as long as the channel exists.
    """
    # In this order: who comes meanwhile is nobody's yet, who leaves is not there any more.
    applications = await ari.request("GET", "applications")
    present = await ari.request("GET", "channels")
    bridges = await ari.request("GET", "bridges")
    named: dict[str, list[str]] = {}
    for application in applications:
        for each in application["channel_ids"]:
            named.setdefault(each, []).append(application["name"])
    holders = {each: _holder(names, instance, alive) for each, names in named.items()}
    ours = {each for each in half.get(instance, ()) if holders.get(each) == ari.application}
    holders |= dict.fromkeys(ours, instance)
    for other in half.keys() - {instance}:
        holders |= dict.fromkeys(half[other], other)
    channels = {each["id"]: each for each in present}
    orphans = {
        each
        for each, snapshot in channels.items()
        if holders.get(each, _originator(snapshot)) == instance
    }
    for bridge in bridges:
        if bridge["id"].startswith(CONVERSATION_BRIDGE_PREFIX):
            caller = caller_channel_of(bridge["id"])
            legs = {*bridge["channels"], caller} & channels.keys()
            if not legs <= orphans and _have_one_holder(legs, named, {instance, *alive}):
                orphans -= legs  # it died after it had taken over all of them
            elif instance != ari.application:  # else we take them over at this moment
                orphans = _with_caller(orphans, caller, legs, holders, alive)
    elsewhere = holders.keys() - orphans
    touched: dict[str, frozenset[str]] = {}
    for bridge in bridges:
        name, inside = bridge["id"], frozenset(bridge["channels"])
        theirs = inside | {caller_channel_of(name)}
        is_left = bridge["name"] == instance or orphans & theirs
        if (is_left or _is_forgotten(bridge, channels, alive)) and not elsewhere & theirs:
            touched[name] = inside
    return OrphanedChannels(
        instance,
        channels,
        frozenset(orphans),
        frozenset(orphans & ours),
        {
            name: legs
            for name, legs in touched.items()
            if name.startswith(CONVERSATION_BRIDGE_PREFIX)
        },
        frozenset(name for name in touched if name.startswith(SNOOP_PREFIX)),
        frozenset(bridge["id"] for bridge in bridges),
    )


def _with_caller(
    orphans: set[str],
    caller: str,
    legs: Collection[str],
    holders: Mapping[str, str],
    alive: Collection[str],
) -> set[str]:
    """The orphans, with all legs of a conversation or none: they go with its caller.

    Two dead ones may each have some: one died while it took over from the other.
    """
    if caller in orphans:
        return orphans | {each for each in legs if holders.get(each) not in alive}
    return orphans.difference(legs) if holders.get(caller) == "" else orphans


def _is_forgotten(bridge: Snapshot, channels: Collection[str], alive: Collection[str]) -> bool:
    """Whether an empty bridge has the name of its maker alone, who is dead.

    Others have handed it on, and its legs left meanwhile.
    """
    is_empty = not bridge["channels"] and caller_channel_of(bridge["id"]) not in channels
    return is_empty and bridge["name"] not in alive


def _holder(names: Sequence[str], instance: str, alive: Collection[str]) -> str:
    """The instance that has a channel named with these: the alive first, then this one."""
    found = [each for each in names if each in alive]
    return found[-1] if found else instance if instance in names else ""


def _have_one_holder(
    legs: Collection[str], named: Mapping[str, Sequence[str]], but_for: Collection[str]
) -> bool:
    """Whether all these channels are named with one application, besides these."""
    common = set.intersection(*(set(named.get(each, ())) for each in legs)) if legs else set()
    return not common <= set(but_for)


def _originator(snapshot: Snapshot) -> str:
    """The instance that called a channel which is in no application yet.

    One that was answered is on its way from one application to another: it was taken over,
    whichever instance called it.
    """
    return "" if snapshot["state"] == "Up" else owner_of(snapshot["id"])


async def take_over(registry: ChannelRegistry, orphaned: OrphanedChannels) -> TakeoverResult:
    """Move the calls to us, unheard; end ringing telephones, snoops and callerless ones.

    Stranded consultants stay: turn them away.
    """
    for bridge in sorted(orphaned.snoop_bridges):
        await registry.destroy(bridge)
    taking = [_take_call(registry, orphaned, each) for each in sorted(orphaned.call_channels)]
    taken = await asyncio.gather(*taking)
    await asyncio.gather(
        *map(registry.end, sorted(orphaned.leftover_channels - orphaned.stranded_consultants))
    )
    for bridge in orphaned.callerless_conversations:
        await registry.destroy(bridge)
    half = [each for each in taken if isinstance(each, frozenset)]
    calls = [each for each in taken if isinstance(each, OrphanedCall)]
    return TakeoverResult(calls, frozenset().union(*half))


async def _take_call(
    registry: ChannelRegistry, orphaned: OrphanedChannels, leg: str
) -> OrphanedCall | frozenset[str]:
    """Move the call of this leg; else return the channels of it that may be ours by now."""
    bridge = orphaned.bridge_of(leg)
    inside = orphaned.conversations[bridge] if bridge else frozenset()
    legs = [each for each in (leg, *sorted(inside - {leg})) if each in orphaned.channels]
    taking = [take_leg(registry, orphaned, each) for each in legs]
    taken = await asyncio.gather(*taking, return_exceptions=True)
    channels = [each for each in taken if isinstance(each, Channel)]
    if len(channels) == len(legs):
        for each in channels[1:]:
            if each.is_gone:
                registry.untrack(each)
        present = [each for each in channels if each.id in inside and not each.is_gone]
        return OrphanedCall(channels[0], bridge, present)
    for fault in taken:
        if isinstance(fault, BaseException):
            log.error("call not taken over yet: %s: %s", leg, fault, exc_info=_bug(fault))
    return frozenset(legs)


async def take_leg(registry: ChannelRegistry, orphaned: OrphanedChannels, leg: str) -> Channel:
    """Move one leg to us, unheard. Raises OperationFailed when that is not sure."""
    await stop_playbacks(registry.ari, leg, orphaned.instance)
    return await registry.move_here(orphaned.channels[leg], is_ours=leg in orphaned.ours)


async def leave_to_fallback(ari: Ari, orphaned: OrphanedChannels) -> Sequence[str]:
    """Leave waiting callers to the dialplan's fallback, and end what rings; talks go on.

    Returns the callers who were left to it; faults about one are logged. Raises AriUnavailable.
    """
    waiting = sorted(orphaned.waiting_callers)
    left = await asyncio.gather(*(_leave_caller(ari, orphaned.instance, each) for each in waiting))
    for each in sorted(orphaned.leftover_channels | orphaned.unattended_legs.difference(waiting)):
        await _end(ari, f"channels/{each}")
    conversations = {
        bridge for each in orphaned.unattended_legs if (bridge := orphaned.bridge_of(each))
    }
    bridges = conversations | orphaned.callerless_conversations.keys() | orphaned.snoop_bridges
    for each in sorted(bridges):
        await _end(ari, f"bridges/{each}")
    return [caller for caller, is_left in zip(waiting, left, strict=True) if is_left]


async def _leave_caller(ari: Ari, instance: str, caller: str) -> bool:
    try:
        await stop_playbacks(ari, caller, instance)
        await ari.request("POST", f"channels/{caller}/continue", STRANDED)
    except ChannelNotFound:  # hung up meanwhile
        return False
    except (AriRequestFailed, AriUnavailable) as exc:
        log.warning("caller not left to the fallback yet: %s: %s", caller, exc)
        return False
    return True


async def _end(ari: Ari, path: str) -> None:
    with suppress(ChannelNotFound, AriRequestFailed):
        await ari.request("DELETE", path)


def _bug(fault: BaseException) -> BaseException | None:
    """The fault if it is an error of ours, which is logged with its traceback."""
    return None if isinstance(fault, OperationFailed) else fault
