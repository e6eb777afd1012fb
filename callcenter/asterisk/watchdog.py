"""Nobody is left alone in the switch when no controller lives: a process that needs nothing else.

It hears the signs of life of the controllers as they hear each other's (`lives.py`). When none
that serves was heard for a while it claims what a dead one left, as another controller would, and
gives callers with whom nobody talks to the dialplan's fallback. Conversations go on, and it looks
at them until they end; what rings is hung up. It keeps no claim, so a controller that comes back
takes over what is left at any moment.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable
from contextlib import suppress

from callcenter.asterisk import estate
from callcenter.asterisk.ari import Ari, Event, Gone, Refused
from callcenter.asterisk.channel import hush
from callcenter.asterisk.estate import Estate
from callcenter.asterisk.lease import Fenced, Hold, Lease
from callcenter.asterisk.lives import BEAT, WATCHDOG, Lives
from callcenter.asterisk.names import CALLED
from callcenter.errors import WeFailed
from callcenter.settings import Settings

log = logging.getLogger(__name__)

START = 30.0  # seconds within which the switch must be there
#: Signs of its own without one of a controller that serves: nobody comes back in time any more.
#: Callers are in the fallback within five seconds, and a controller starts in two or three.
ALONE = 12
#: Signs for which a life is dead and has left callers with whom nobody goes on, though another
#: serves: as when one dies again and again as it starts.
NEGLECTED = 40
STRANDED = {"context": "fallback", "extension": "stranded", "priority": "1"}


class Watchdog:
    """One life of it. `run` may be called once."""

    def __init__(self, settings: Settings, password: str, alive: Callable[[], None]) -> None:
        """`alive` is called three times a second, as long as it watches."""
        self.ready = asyncio.Event()
        self._alive = alive
        self.lease = Lease()
        self.ari = Ari(
            port=settings.ari_port,
            user="callcenter",
            password=password,
            application=f"{WATCHDOG}{secrets.token_hex(4)}",
            on_event=self._hear,
            on_connected=self._settle,
            lease=self.lease,
        )
        self.lives = Lives(self.ari, self.lease, on_dead=_nothing, mine=tuple)
        self.lives.serves = False
        self.left_to_fallback = 0  #: callers so far

    async def run(self, stop: asyncio.Event) -> None:
        """Watch until `stop` is set.

        Raises NotReady when the switch is not there at the start, Fenced when others have taken
        this one for dead: it ends, and is to be started again.
        """
        async with asyncio.TaskGroup() as tasks:
            connection = tasks.create_task(self.ari.run())
            await self.ari.ready(START)
            signs = tasks.create_task(self.lives.run())
            watching = tasks.create_task(self._watch())
            self.ready.set()
            ends = [tasks.create_task(each) for each in (stop.wait(), self.lease.lost())]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for each in (*ends, signs, watching):
                each.cancel()
            await asyncio.wait((signs, watching))
            if self.lease.hold is not Hold.LOST:
                await self.lives.leave()
            connection.cancel()
        if self.lease.hold is Hold.LOST:
            raise Fenced

    def _hear(self, event: Event) -> None:
        self.lives.hear(event)

    async def _settle(self) -> None:
        await self.lives.settle()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(BEAT)
            if self.ari.connected.is_set() and self.lease.hold is Hold.SURE:
                self._alive()
                for life in self._unserved():
                    await self._look_after(life)

    def _unserved(self) -> list[str]:
        """The dead from whom no controller will take over any more."""
        roll = self.lives.roll
        nobody = roll.unserved >= ALONE
        return [life for life in roll.dead if nobody or roll.silent(life) >= NEGLECTED]

    async def _look_after(self, life: str) -> None:
        try:
            left = await estate.look(self.ari, life, self.lives.roll.living)
        except WeFailed as exc:
            log.error("cannot see what %s left: %s; trying again", life, exc)
            return
        if left.deserted or left.rest or left.orphaned:
            await self.lives.alone_with(life, self._bring)
        elif not left.left:
            self.lives.roll.forget(life)

    async def _bring(self, life: str) -> None:
        """See to those whom a life left alone, after the claim: they may be others by now."""
        if life not in self._unserved():  # a controller has come meanwhile
            return
        left = await estate.look(self.ari, life, self.lives.roll.living)
        callers = sorted(each for each in left.deserted if not each.startswith(CALLED))
        if callers:
            log.critical("no controller: %d callers are left to the fallback", len(callers))
        for each in callers:
            await self._leave_to_fallback(left, each)
        for each in sorted(left.rest | left.deserted - set(callers)):
            await self._end(f"channels/{each}")
        rooms = {talk for each in left.deserted if (talk := left.talk_of(each))}
        for each in sorted(rooms | left.orphaned.keys() | left.ears):
            await self._end(f"bridges/{each}")

    async def _leave_to_fallback(self, left: Estate, caller: str) -> None:
        with suppress(Gone):  # hung up meanwhile
            await hush(self.ari, caller, left.life)
            try:
                await self.ari.request("POST", f"channels/{caller}/continue", STRANDED)
                self.left_to_fallback += 1
            except Refused as exc:
                log.warning("caller %s is not left to the fallback: %s", caller, exc)

    async def _end(self, path: str) -> None:
        with suppress(Gone, Refused):
            await self.ari.request("DELETE", path)


async def _nothing(life: str, in_order: bool) -> None:
    """Nothing is taken over from the dead: callers are given to the fallback."""
