"""Watchdog: hand callers to the dialplan's fallback while no controller is alive.

It is a member as they are (`membership`), and needs no other server. When none has served for a
while it claims what a dead one left, as another controller would, and gives callers with whom
nobody talks to the fallback. Conversations go on, and it looks at them until they end; what rings
is hung up. It keeps no claim, so a controller that comes back takes over what is left at any
moment.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from contextlib import suppress

from callcenter.platform.core.beats import until_beat
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.settings import Settings
from callcenter.telephony.asterisk.ari import Ari, Event
from callcenter.telephony.asterisk.cluster import orphaned_calls
from callcenter.telephony.asterisk.cluster.admission import AdmissionControl
from callcenter.telephony.asterisk.cluster.member_files import is_taken_over
from callcenter.telephony.asterisk.cluster.membership import (
    TICK_INTERVAL,
    WATCHDOG,
    ClusterMembership,
)
from callcenter.telephony.asterisk.fence import Fence

log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 30.0  # seconds within which Asterisk must be there
#: Seconds without a controller that serves: none comes back in time any more. Callers are in the
#: fallback within five seconds, and a controller starts in two or three.
FALLBACK_AFTER = 3.6
#: Seconds for which an instance is dead and has left callers with whom nobody goes on, though
#: another serves: as when one dies again and again as it starts.
UNCLAIMED_AFTER = 12.0
#: The dialplan's variable (`dialplan/extensions.conf.j2`): until when nobody is asked to claim.
OVERLOADED_UNTIL = "OVERLOADED_UNTIL"
OVERLOAD_EXPIRY = 2  # seconds


class Watchdog:
    """One watchdog process. `run` may be called once."""

    def __init__(self, settings: Settings, password: str, alive: Callable[[], None]) -> None:
        """`alive` is called twice a second, as long as it watches."""
        self.ready = asyncio.Event()
        self._alive = alive
        instance = f"{WATCHDOG}{secrets.token_hex(4)}"
        self.fence = Fence(lambda: is_taken_over(settings.members, instance))
        self.ari = Ari(
            port=settings.ari_port,
            password=password,
            application=instance,
            on_event=self._dispatch,
            on_connected=self._resync,
            fence=self.fence,
        )
        self.membership = ClusterMembership(
            self.ari,
            self.fence,
            settings.members,
            _ignore_dead,
            AdmissionControl(settings.admission_limit),
        )
        self.membership.stop_serving()
        self.handed_to_fallback = 0  #: callers so far

    async def run(self, stop: asyncio.Event) -> None:
        """Watch until `stop` is set.

        Raises DependencyUnavailable when Asterisk is not there at the start, Fenced when others
        have taken this one for dead: it ends, and is to be started again.
        """
        async with asyncio.TaskGroup() as tasks:
            membership = tasks.create_task(self.membership.run())
            connection = tasks.create_task(self.ari.run())
            await self.ari.ready(CONNECT_TIMEOUT)
            watching = tasks.create_task(self._watch())
            self.ready.set()
            ends = [tasks.create_task(each) for each in (stop.wait(), self.fence.wait_fenced())]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for each in (*ends, membership, watching):
                each.cancel()
            await asyncio.wait((membership, watching))
            connection.cancel()
        self.fence.check()

    def _dispatch(self, event: Event) -> None:
        self.membership.heard()
        self.membership.on_event(event)

    async def _resync(self) -> None:
        await self.membership.await_echo()
        await self.membership.look_for_former()

    async def _watch(self) -> None:
        while True:
            await until_beat(TICK_INTERVAL)
            if self.ari.connected.is_set() and self.membership.hears:
                self._alive()
                if self.membership.nobody_admits:
                    await self._report_overload()
                for instance in self._unserved():
                    await self._check_orphans(instance)

    async def _report_overload(self) -> None:
        """Tell the dialplan not to wait for a claim: for a while, should we end meanwhile."""
        until = str(int(time.time()) + OVERLOAD_EXPIRY)
        with suppress(OperationFailed):
            await self.ari.request(
                "POST", "asterisk/variable", {"variable": OVERLOADED_UNTIL, "value": until}
            )

    def _unserved(self) -> list[str]:
        """The dead from whom no controller will take over any more."""
        members = self.membership
        nobody = members.unserved >= FALLBACK_AFTER
        return [
            instance
            for instance in sorted(members.dead)
            if nobody or members.dead_for(instance) >= UNCLAIMED_AFTER
        ]

    async def _check_orphans(self, instance: str) -> None:
        try:
            left = await orphaned_calls.find_orphans(self.ari, instance, self.membership.alive)
        except OperationFailed as exc:
            log.error("orphans of %s not found, trying again: %s", instance, exc)
            return
        if left.unattended_legs or left.leftover_channels or left.callerless_conversations:
            await self.membership.with_claim(instance, self._redirect_to_fallback)
        elif not left.orphans:
            await self.membership.with_claim(instance, self._forget)

    async def _forget(self, instance: str) -> None:
        self.membership.forget(instance)

    async def _redirect_to_fallback(self, instance: str) -> None:
        """Redirect the callers of a dead instance, under the claim: they may be others by now."""
        if instance not in self._unserved():  # a controller has come meanwhile
            return
        left = await orphaned_calls.find_orphans(self.ari, instance, self.membership.alive)
        if callers := left.waiting_callers:
            log.critical("no controller alive: %d callers go to the fallback", len(callers))
        self.handed_to_fallback += len(await orphaned_calls.leave_to_fallback(self.ari, left))


async def _ignore_dead(instance: str, in_order: bool) -> None:
    """Take nothing over: callers of the dead are given to the fallback."""
