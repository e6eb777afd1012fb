"""Heartbeats of the version before: for one release, so that an upgrade loses no call.

They send a user event to each application three times a second, take whoever sends them none for
dead, and have no member file. They are answered, and are dead when they are silent. Who of them
takes over makes a bridge first, so while they are there we do so too. One that finds several dead
members takes a channel for that of any it is named with, and leaves them their names, so we remove
the names of the dead: from what they took over too, before another of them dies.
"""

import logging
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress

from callcenter.platform.core.background_tasks import BackgroundTasks
from callcenter.platform.core.errors import OperationFailed
from callcenter.telephony.asterisk.ari import Ari, AriRequestFailed, ChannelNotFound, Event

log = logging.getLogger(__name__)

HEARTBEAT_EVENT = "life"  # the name of the user event
CLAIM_PREFIX = "estate-"  # of the id of the bridge by which one alone takes over
HEARTBEAT_LIMIT = 1.4  # seconds for Asterisk to answer
SILENCE_LIMIT = 4.0  # seconds: more than they need to take over from each other


def heartbeat_variables(
    instance: str,
    serial: int,
    machine: str = "",
    pid: int = 0,
    began: str = "",
    *,
    serves: bool = True,
    leaves: bool = False,
) -> dict[str, str]:
    """Return the variables of the event. Without a machine the process is nobody's to kill."""
    variables = {"life": instance, "serial": serial, "serves": serves, "leaves": leaves}
    variables |= {"machine": machine, "pid": pid, "began": began}
    return {name: str(value) for name, value in variables.items()}


class FormerMembers:
    """Members of the version before, as one member hears them."""

    def __init__(self, ari: Ari) -> None:
        self._ari = ari
        self._heard_at: dict[str, float] = {}
        self._listed_at: dict[str, float] = {}  # of which nothing was heard yet: dead, perhaps
        self._serving: set[str] = set()
        self._left: set[str] = set()
        self._we_leave = False
        self._tasks = BackgroundTasks()

    @property
    def alive(self) -> set[str]:
        """Members that are heard."""
        return self._heard_at.keys() - self._gone(time.monotonic())

    @property
    def serving(self) -> set[str]:
        """Members that are heard, and take over from others."""
        return self.alive & self._serving

    def dead(self, now: float) -> dict[str, bool]:
        """Controllers that are silent, or have left; the flag: it left in order."""
        return {each: each in self._left for each in self._gone(now) if each.startswith("line-")}

    def _gone(self, now: float) -> set[str]:
        heard_at = self._listed_at | self._heard_at
        return self._left | {each for each, at in heard_at.items() if now - at > SILENCE_LIMIT}

    def may_take_over(self, instance: str) -> bool:
        """Whether it is a dead one of that version, and none of that version is left to do it."""
        return instance in self.dead(time.monotonic()) and not self.serving

    @asynccontextmanager
    async def claimed(self, instance: str) -> AsyncIterator[bool]:
        """Within the block none of them takes over from this instance; false when one does."""
        if not self.alive:
            yield True
            return
        bridge = CLAIM_PREFIX + instance
        query = {"type": "holding", "bridgeId": bridge, "name": self._ari.application}
        try:
            await self._ari.request("POST", "bridges", query)
        except AriRequestFailed:
            yield False
            return
        try:
            yield True
        finally:
            with suppress(OperationFailed):  # also when our calls are another's meanwhile
                path = f"bridges/{bridge}"
                await self._ari.send_request(path, "DELETE", path, {}, None, HEARTBEAT_LIMIT)

    async def remove_names_of_dead(self, alive: Collection[str]) -> None:
        """Have Asterisk name the channels of us and the `alive` with none but us and them.

        It names a channel with the application that originated it as long as the channel exists.
        Raises OperationFailed.
        """
        named = {
            each["name"]: set(each["channel_ids"])
            for each in await self._ari.request("GET", "applications")
        }
        holders = {self._ari.application, *alive}
        held = set[str]().union(*(named.get(each, ()) for each in holders))
        for name in sorted(named.keys() - holders):
            for channel in sorted(named[name] & held) if name.startswith("line-") else ():
                await self._remove_name(name, channel)

    async def _remove_name(self, application: str, channel: str) -> None:
        path = f"applications/{application}/subscription"
        query = {"eventSource": f"channel:{channel}"}
        with suppress(ChannelNotFound, AriRequestFailed):  # it has just hung up
            while channel in (await self._ari.request("DELETE", path, query))["channel_ids"]:
                pass  # Asterisk counts how often an application subscribed

    def forget(self, instance: str) -> None:
        self._heard_at.pop(instance, None)
        self._listed_at.pop(instance, None)
        self._left.discard(instance)
        self._serving.discard(instance)

    async def look(self, members: set[str]) -> None:
        """Look for applications that have no member file. Raises OperationFailed."""
        for application in await self._ari.request("GET", "applications"):
            name = application["name"]
            if name.startswith("line-") and name not in members:
                self._listed_at.setdefault(name, time.monotonic())

    def on_event(self, event: Event, me: str, *, serves: bool) -> None:
        """Take in a heartbeat, and answer it with one of ours."""
        variables = event.get("userevent") or {}
        instance = variables.get("life")
        if event.get("eventname") != HEARTBEAT_EVENT or not instance or instance == me:
            return
        self._heard_at[instance] = time.monotonic()
        sets = (
            (self._serving, variables.get("serves") == "True"),
            (self._left, variables.get("leaves") == "True"),
        )
        for members, belongs in sets:
            members.add(instance) if belongs else members.discard(instance)
        if instance not in self._left:
            self._tasks.spawn(self._answer(instance, me, serves=serves))

    def say_that_we_leave(self, me: str) -> None:
        """Tell them, lest they wait for us to fall silent."""
        self._we_leave = True
        for instance in self.alive:
            self._tasks.spawn(self._answer(instance, me, serves=False))

    async def _answer(self, instance: str, me: str, *, serves: bool) -> None:
        leaves = self._we_leave  # once we have left we never live again, while our process ends
        variables = heartbeat_variables(me, 1, serves=serves and not leaves, leaves=leaves)
        with suppress(OperationFailed):
            path, query = f"events/user/{HEARTBEAT_EVENT}", {"application": instance}
            # Also when our calls are another's: that is what is said then.
            body = {"variables": variables}
            await self._ari.send_request(path, "POST", path, query, body, HEARTBEAT_LIMIT)
