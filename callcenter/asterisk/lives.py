"""Which controllers of a switch live, told through the switch itself; and who inherits from whom.

Each life of a controller is a Stasis application with a name of its own. A third of a second apart
it sends a sign (an event of ARI) to all such applications, its own among them. The signs that it
hears of itself are its clock: whoever was silent for MISSED of them is dead. So a switch that
stands still, or a connection that is cut, makes nobody look dead; and it works while Redis and
PostgreSQL are away. A dead life's calls are taken over by whoever first makes a bridge with the
name of its estate, which the switch lets one do alone.

Why nobody acts on calls that were taken over: who was not heard for MISSED signs did not hear its
own for longer than `lease.SURE` either, and does nothing before it has asked (`settle`). Either its
sign reaches the one who takes before that one begins (`claim` waits for a sign of its own, sent
after the bridge was made), or it finds the bridge. On the same machine it is killed as well.
"""

import asyncio
import itertools
import logging
import os
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from callcenter.asterisk import identity
from callcenter.asterisk.ari import Ari, Event, Gone, Refused
from callcenter.asterisk.lease import SURE, Hold, Lease
from callcenter.errors import WeFailed
from callcenter.line.call import to_the_end

log = logging.getLogger(__name__)

BEAT = 0.3  # seconds between signs
MISSED = 6  #: signs of its own that a controller hears without one of another: that one is dead
DEAF = 7  # signs of its own that it does not hear though requests are answered: it connects anew
ESTATE = "estate-"  #: what the id of a bridge begins with that says who takes over from whom
SIGN = "life"  #: the name of the event
LINE, WATCHDOG = "line-", "watchdog-"  #: what names of applications begin with


@dataclass(frozen=True, slots=True)
class Sign:
    """A sign of life. `serves`: it takes over from others; `leaves`: it is the last."""

    life: str
    serial: int
    serves: bool = True
    leaves: bool = False
    machine: str = ""
    pid: int = 0
    began: str = ""

    def written(self) -> dict[str, str]:
        """As variables of the event."""
        return {name: str(getattr(self, name)) for name in Sign.__slots__}


def read_sign(told: dict[str, Any]) -> Sign:
    """Raises KeyError, ValueError for what is no sign."""
    return Sign(
        life=told["life"],
        serial=int(told["serial"]),
        serves=told["serves"] == "True",
        leaves=told["leaves"] == "True",
        machine=told["machine"],
        pid=int(told["pid"]),
        began=told["began"],
    )


class Roll:
    """The others, and for how many signs of `me` each was silent."""

    def __init__(self, me: str, missed: int = MISSED) -> None:
        self._me = me
        self._missed = missed
        self._silent: dict[str, int] = {}
        self._last: dict[str, Sign] = {}
        #: Signs of `me` since one of somebody who takes over from others.
        self.unserved = 0

    def hear(self, sign: Sign) -> None:
        """Take in a sign; one's own counts for all others."""
        if sign.life == self._me:
            self.unserved += 1
            for life in self._silent:
                self._silent[life] += 1
        else:
            if sign.serves and not sign.leaves:
                self.unserved = 0
            self._silent[sign.life] = self._missed if sign.leaves else 0
            self._last[sign.life] = sign

    def include(self, lives: Iterable[str]) -> None:
        """These are there, whether they are heard or not."""
        for life in lives:
            if life != self._me:
                self._silent.setdefault(life, 0)

    def forget(self, life: str) -> None:
        """It is over, and so is what it left."""
        self._silent.pop(life, None)
        self._last.pop(life, None)

    def begin_anew(self) -> None:
        """Nothing was heard for a while: nobody is dead for that."""
        self._silent.clear()
        self._last.clear()
        self.unserved = 0

    def silent(self, life: str) -> int:
        """For how many signs of `me` this life was silent."""
        return self._silent.get(life, 0)

    def last(self, life: str) -> Sign | None:
        """The last sign heard of it."""
        return self._last.get(life)

    @property
    def dead(self) -> set[str]:
        return {life for life, silent in self._silent.items() if silent >= self._missed}

    @property
    def living(self) -> set[str]:
        """Those who are heard, whether they take over from others or not."""
        return {sign.life for sign in self._living}

    @property
    def serving(self) -> set[str]:
        """Those who live, and take over from others."""
        return {sign.life for sign in self._living if sign.serves}

    @property
    def watching(self) -> set[str]:
        """The watchdogs that live (`callcenter.asterisk.watchdog`)."""
        return {sign.life for sign in self._living if sign.life.startswith(WATCHDOG)}

    @property
    def _living(self) -> list[Sign]:
        return [s for life, s in self._last.items() if self._silent[life] < self._missed]


class Lives:
    """One controller's signs, and its view of the others. `run` must be running."""

    def __init__(
        self,
        ari: Ari,
        lease: Lease,
        on_dead: Callable[[str, bool], Awaitable[None]],
        mine: Callable[[], Collection[str]],
        *,
        missed: int = MISSED,
    ) -> None:
        """`on_dead` takes over from a life, which left in order or not; `mine` are our channels."""
        self.me = ari.application
        self.roll = Roll(self.me, missed)
        self.serves = True
        self._began = identity.started(os.getpid())
        self._ari = ari
        self._lease = lease
        self._on_dead = on_dead
        self._mine = mine
        self._serials = itertools.count(1)
        self._sent = self._echoed = 0
        self._echo = asyncio.Event()
        self._listed: set[str] = {self.me}
        self._taking: dict[str, asyncio.Task[None]] = {}
        self._claimed: set[str] = set()
        self._unfinished: set[str] = set()  # whose calls we took over in part

    def hear(self, event: Event) -> None:
        """Take in an event of ARI that may be a sign."""
        if event.get("eventname") != SIGN:
            return
        try:
            sign = read_sign(event["userevent"])
        except (KeyError, ValueError, TypeError) as exc:
            log.warning("a sign of life cannot be read: %r", exc)
            return
        self.roll.hear(sign)
        if sign.life == self.me:
            self._echoed = sign.serial
            self._echo.set()
            self._lease.heard()

    async def run(self) -> None:
        """Give signs and take over until cancelled."""
        try:
            while True:
                if self._ari.connected.is_set():
                    try:
                        await self._beat()
                    except WeFailed as exc:
                        log.info("no sign of life could be given: %s", exc)
                await asyncio.sleep(BEAT)
        finally:
            for task in self._taking.values():
                task.cancel()
            await asyncio.gather(*self._taking.values(), return_exceptions=True)

    async def _beat(self) -> None:
        if self._lease.hold is Hold.DOUBTFUL:
            await self.settle()
        if self._lease.hold is Hold.LOST:  # nobody is to hand over to one that ends
            return
        await self._sign()
        await self._list()
        if self._sent - self._echoed > DEAF:
            log.error("Asterisk answers, but sends no events; connecting again")
            self._sent = self._echoed
            await self._ari.connect_again()
        if self.serves and self._lease.hold is Hold.SURE:
            for life in self.roll.dead - self._taking.keys():
                self._taking[life] = asyncio.create_task(self._take(life))

    async def _sign(self, *, leaves: bool = False, to_all: bool = True) -> int:
        """Send a sign to all, or to ourselves alone; returns its serial."""
        sign = Sign(
            self.me,
            next(self._serials),
            self.serves,
            leaves,
            identity.machine(),
            os.getpid(),
            self._began,
        )
        self._sent = sign.serial
        body = {"variables": sign.written()}
        others = self._listed - {self.me} if to_all else ()
        for life in (*others, self.me):
            with suppress(Gone):
                query = {"application": life}
                await self._ask("POST", f"events/user/{SIGN}", query, body)
        return sign.serial

    async def _list(self) -> None:
        """Who is there by the switch: also those who died before us, while they have calls."""
        told = await self._ask("GET", "applications")
        names = {application["name"] for application in told}
        self._listed = {name for name in names if name.startswith((LINE, WATCHDOG))}
        self.roll.include(name for name in names | self._unfinished if name.startswith(LINE))

    async def _sign_heard(self, *, to_all: bool = True) -> None:
        """Send a sign, and return when we hear it: so all others had it sent to them."""
        serial = await self._sign(to_all=to_all)
        try:
            async with asyncio.timeout(SURE):
                while self._echoed < serial:
                    self._echo.clear()
                    await self._echo.wait()
        except TimeoutError:
            raise WeFailed(f"our own sign of life was not heard for {SURE:g} s") from None

    async def leave(self) -> None:
        """Tell the others that this was the last sign, all that is ours being theirs now."""
        with suppress(WeFailed):
            await self._sign(leaves=True)

    async def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: dict[str, Any] | None = None,
    ) -> Any:
        """Whosever our calls are by now; a sign that takes long is none."""
        return await self._ari.request(method, path, query, body=body, within=SURE, unsure=True)

    # Our own calls

    async def settle(self) -> None:
        """After a gap: are our calls still ours? Loses the lease when not; raises WeFailed."""
        self.roll.begin_anew()
        await self._list()
        await self._sign_heard(to_all=False)  # who hears nothing of its calls is not to look alive
        await self._sign_heard()
        for _ in range(10):  # whoever claims has heard our sign by now, and gives the claim up
            if not await self._is_claimed(self.me):
                break
            await asyncio.sleep(SURE / 10)
        else:
            self._lease.lose()
            return
        if await self._was_robbed():
            self._lease.lose()
        self._lease.confirm()
        await self._give_up_claims(lambda claimant: claimant not in self._listed)

    async def _is_claimed(self, life: str) -> bool:
        try:
            await self._ask("GET", f"bridges/{ESTATE}{life}")
        except Gone:
            return False
        return True

    async def _was_robbed(self) -> bool:
        """Whether a channel of ours is in another's application."""
        told = await self._ask("GET", "channels")
        there = {channel["id"] for channel in told} & set(self._mine())
        application = await self._ask("GET", f"applications/{self.me}")
        return bool(there - set(application["channel_ids"]))

    # The calls of the dead

    async def _take(self, life: str) -> None:
        try:
            await self.alone_with(life, self._inherit)
        finally:
            self._taking.pop(life, None)

    async def _inherit(self, life: str) -> None:
        sign = self.roll.last(life)
        self._unfinished.add(life)  # should it fail: the switch may not name this life any more
        await self._on_dead(life, sign is not None and sign.leaves)
        self._unfinished.discard(life)
        await self._bury(life)
        await self._give_up_claims(lambda claimant: claimant == life)

    async def alone_with(self, life: str, deed: Callable[[str], Awaitable[None]]) -> None:
        """Do this about what a dead life left, unless another is at it.

        The claim never outlives it. What fails is logged: whoever asked tries again.
        """
        try:
            if await self.claim(life):
                await deed(life)
        except WeFailed as exc:
            log.error("cannot take over from %s: %s; trying again", life, exc)
        except Exception:
            log.exception("cannot take over from %s; trying again", life)
        finally:
            if life in self._claimed:
                await asyncio.shield(self._give_up(life))

    async def claim(self, life: str) -> bool:
        """Whether we, and nobody else, take over from this life."""
        # Also when we are stopped meanwhile: a claim of which we do not know is never given up.
        if not await to_the_end(self._make_claim(life)):
            await self._look_at_claim(life)
            return False
        await self._sign_heard()
        if life not in self.roll.dead:
            return False
        sign = self.roll.last(life)
        is_here = sign is not None and sign.machine == identity.machine() and not sign.leaves
        if sign is not None and is_here and identity.kill(sign.pid, sign.began):
            log.warning("%s hung, and was killed", life)
        return True

    async def _make_claim(self, life: str) -> bool:
        query = {"type": "holding", "bridgeId": ESTATE + life, "name": self.me}
        try:
            await self._ari.request("POST", "bridges", query)
        except Refused:
            return False
        self._claimed.add(life)
        return True

    async def _look_at_claim(self, life: str) -> None:
        """Another takes over from this life: unless that one died as well."""
        with suppress(Gone):
            bridge = await self._ari.request("GET", f"bridges/{ESTATE}{life}")
            if bridge["name"] in self.roll.dead or bridge["name"] not in self._listed:
                await self._give_up(life)

    async def _bury(self, life: str) -> None:
        """Keep the claim while the dead may come back: until the switch knows it no more."""
        while life in self._listed:  # noqa: ASYNC110 the switch is asked with every sign
            await asyncio.sleep(BEAT)
        self.roll.forget(life)

    async def _give_up_claims(self, is_dead: Callable[[str], bool]) -> None:
        """A claim outlives a claimant that was killed."""
        for bridge in await self._ask("GET", "bridges"):
            if bridge["id"].startswith(ESTATE) and is_dead(bridge["name"]):
                await self._give_up(bridge["id"].removeprefix(ESTATE))

    async def _give_up(self, life: str) -> None:
        self._claimed.discard(life)
        with suppress(WeFailed):
            await self._ask("DELETE", f"bridges/{ESTATE}{life}")
