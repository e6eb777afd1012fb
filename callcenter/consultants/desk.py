"""Who waits and who is free, in Redis, shared by all controllers: a consultant is leased, once.

Order: the first caller by `order.py` gets the consultant who has been idle longest among those who
speak the caller's language and have the skill wanted, if one is. Free means: on the roster, ready
(see `states.py`), the telephone registered and not in a call, not leased. A lease ends with the
place that holds it or, five seconds after the last sign of life, with its controller. All of it can
be lost and is then rebuilt from PostgreSQL and the switch.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import chain

from redis.asyncio import Redis
from redis.exceptions import RedisError

from callcenter.consultants.history import Change
from callcenter.consultants.order import score
from callcenter.consultants.roster import NOTHING_KNOWN, tell_roster
from callcenter.consultants.script import LIMIT, DeskClosed, PlainRules, Rules, Script
from callcenter.consultants.skills import LOWEST, want
from callcenter.consultants.states import State
from callcenter.consultants.store import Consultant
from callcenter.errands import Errands

log = logging.getLogger(__name__)

TICK = 1.0  # seconds between signs of life
ASK_AGAIN = 2.0  # seconds after which a waiting call is put down again: else the desk forgets it
CLOCK_LIMIT = 0.25  # seconds for Redis to tell the time
PLAIN_RULES = PlainRules()


class Desk:
    """One controller's view of the desk. `run` must be running for offers to arrive."""

    def __init__(self, redis: Redis, controller: str, rules: Rules = PLAIN_RULES) -> None:
        self._redis = redis
        self._controller = controller
        self._do = Script(redis, rules)
        self._roster: dict[str, Consultant] = {}
        self._places: dict[str, Place] = {}
        self._occupied: dict[str, str] = {}  # extension by call
        self.offers = 0  #: of consultants to calls of ours, so far
        #: Awaited when Redis has lost everything: tell roster and devices again.
        self.on_empty: Callable[[], Awaitable[None]] | None = None
        #: Told the extension of a consultant who is not to be rung any more; must not block.
        self.on_withdrawn: Callable[[str], None] | None = None

    async def run(self) -> None:
        """Receive offers and renew leases until cancelled; outlives Redis being away."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tick())
            tasks.create_task(self._listen())

    async def tell_roster(
        self, consultants: Iterable[Consultant], known: Mapping[str, Change] = NOTHING_KNOWN
    ) -> None:
        """Replace the roster: whoever is not on it is not offered calls.

        `known` are the last states in the database, by extension, should Redis have lost them.
        """
        self._roster = {consultant.extension: consultant for consultant in consultants}
        await tell_roster(self._do, self._roster.values(), known)

    def known(self, extension: str) -> Consultant | None:
        """Who has this extension, from the roster told last: also while Redis is away."""
        return self._roster.get(extension)

    async def tell_devices(self, states: Mapping[str, str], stamp: float) -> None:
        """Telephones' states by extension, as Asterisk names them; `stamp` is UTC epoch seconds."""
        await self.tell_changes({e: (state, stamp) for e, state in states.items()})

    async def tell_changes(self, changes: Mapping[str, tuple[str, float]]) -> None:
        """The last state of each telephone, and since when, as `tell_devices` has them."""
        told = ((e, state, f"{stamp:.6f}") for e, (state, stamp) in changes.items())
        if changes:
            await self._do("devices", *chain.from_iterable(told))

    async def now(self) -> float:
        """Epoch seconds by the desk's clock, the same for all controllers.

        By our own when it does not answer in a quarter of a second: the caller hears nothing then.
        """
        try:
            async with asyncio.timeout(CLOCK_LIMIT):
                return float(await self._do("now"))
        except (DeskClosed, TimeoutError):
            return time.time()

    @asynccontextmanager
    async def place(
        self,
        call_id: str,
        language: str,
        *,
        arrived: float | None = None,
        urgent: bool = False,
        skill: str | None = None,
        level: int = LOWEST,
        consultant: str | None = None,
        preferred: str | None = None,
        behind: bool = False,
    ) -> AsyncIterator["Place"]:
        """A place in the queue; it and any lease it led to end with the block.

        `arrived` is in epoch seconds, now by default: a caller who comes back keeps it. Wanted is
        who speaks the language and has `skill` at `level` or higher, or nobody but `consultant`
        (an extension, whatever the language). `preferred` is taken when free and fitting as the
        call begins to wait; otherwise it changes nothing. What is `behind` callers is for whoever
        would be idle otherwise, see `order.py`.
        """
        arrival = time.time() if arrived is None else arrived
        order = f"{score(arrival, urgent=urgent, behind=behind):.6f}"
        wanted = want(language, skill, level, consultant)
        how = (self._controller, language, order, f"{arrival:.6f}", wanted, preferred or "")
        place = Place(self._do, call_id, how)
        self._places[call_id] = place
        try:
            yield place
        finally:
            try:
                await asyncio.shield(place.leave())
            finally:  # a caller who hangs up at this moment cancels us
                del self._places[call_id]

    @asynccontextmanager
    async def adopted(
        self, consultant: Consultant, living: Iterable[str], call_id: str
    ) -> AsyncIterator["Place"]:
        """The place of a call in which this consultant talks, that a dead controller had.

        It is left to whichever of the `living` has it by now. `call_id` is for a lease of its own,
        should the desk know of none any more. While Redis is away the two talk on without one.
        """
        try:
            call_id = await self._do(
                "adopt", consultant.extension, self._controller, call_id, *living
            )
        except DeskClosed as exc:
            log.error("%s", exc)
        place = Place(self._do, call_id, (self._controller,))
        place.take(consultant)
        place.talks_on()
        self._places[call_id] = place
        try:
            yield place
        finally:
            await asyncio.shield(place.leave())
            del self._places[call_id]

    @asynccontextmanager
    async def occupied(self, call_id: str, extension: str) -> AsyncIterator["Occupation"]:
        """Within the block the consultant is with somebody whom they call, and offered nobody.

        Of an offer and this one wins. Afterwards who was on a pause is so again. Raises NotFree,
        NotOnRoster, DeskClosed.
        """
        await self._do("occupy", call_id, self._controller, extension)
        self._occupied[call_id] = extension
        occupation = Occupation()
        try:
            yield occupation
        finally:
            del self._occupied[call_id]
            await asyncio.shield(self._end(call_id, occupation))

    async def _end(self, call_id: str, occupation: "Occupation") -> None:
        try:
            became = "talked" if occupation.talked else "unused"
            await self._do("leave", call_id, became, "", self._controller)
        except DeskClosed as exc:  # the lease ends by itself
            log.error("%s", exc)

    async def _tick(self) -> None:
        while True:
            try:
                holding = [call for call, place in self._places.items() if place.consultant]
                holding += self._occupied
                known, *unheld = await self._do("tick", self._controller, *holding)
                if not known and self.on_empty is not None:
                    await self.on_empty()
                for call_id in unheld:
                    await self._hold_again(call_id)
            except DeskClosed as exc:
                log.error("%s", exc)
            await asyncio.sleep(TICK)

    async def _hold_again(self, call_id: str) -> None:
        """Redis was away, or lost all: its lease ended though the consultant talks."""
        place = self._places.get(call_id)
        talker = place.talker if place is not None else self._occupied.get(call_id)
        if talker:
            await self._do("hold_again", call_id, self._controller, talker)

    async def _listen(self) -> None:
        while True:
            try:
                async with asyncio.timeout(TICK + LIMIT):
                    offer = await self._redis.blpop(
                        [f"desk:offers:{self._controller}"], timeout=TICK
                    )
            except (RedisError, OSError, TimeoutError) as exc:
                log.error("offers cannot be heard: %s", exc)
                await asyncio.sleep(TICK)
                continue
            if offer is not None:
                call_id, extension, *withdrawn = str(offer[1]).split(" ")
                if withdrawn:
                    self._withdrawn(call_id, extension)
                else:
                    await self._offered(call_id, extension)

    async def _offered(self, call_id: str, extension: str) -> None:
        place = self._places.get(call_id)
        consultant = self._roster.get(extension)
        if place is not None and consultant is not None:
            self.offers += 1
            place.take(consultant)
        elif place is None:  # the caller left, or was served by an earlier life of this controller
            try:
                await self._do("leave", call_id, "unused")
            except DeskClosed as exc:  # the lease ends by itself
                log.error("%s", exc)

    def _withdrawn(self, call_id: str, extension: str) -> None:
        place = self._places.get(call_id)
        if place is not None:
            place.withdraw()
        if self.on_withdrawn is not None:
            self.on_withdrawn(extension)


@dataclass(slots=True)
class Occupation:
    """A consultant with somebody whom they call; wrap-up follows if the two `talked`."""

    talked: bool = False


class Place:
    """One call's place in the queue, and its lease of a consultant once there is one."""

    def __init__(self, do: Script, call_id: str, how: Sequence[str]) -> None:
        """`how` the call waits, as `wait` of desk.lua has it; first the controller."""
        self.call_id = call_id
        self.consultant: Consultant | None = None
        self._do = do
        self._how = how
        self._offered = asyncio.Event()
        self._talks_since: float | None = None
        self._is_busy = False
        self._telling = Errands()

    async def offer(self, timeout: float) -> Consultant | None:
        """The consultant now leased to this call, or None after `timeout` seconds.

        Cancelling is safe: a lease that was under way ends with the place. Raises DeskClosed.
        """
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            await self._do("wait", self.call_id, *self._how)
            try:
                async with asyncio.timeout(min(left, ASK_AGAIN)):
                    await self._offered.wait()
            except TimeoutError:
                continue
            if self.consultant is not None:  # else it was withdrawn at once
                return self.consultant
        return None

    @property
    def talker(self) -> str | None:
        """The extension of the consultant, once the two talk."""
        return self.consultant.extension if self.consultant and self._is_busy else None

    def rings(self) -> None:
        """The consultant's telephone is being rung; returns at once."""
        self._tell(State.RINGING)

    def answered(self, *, alone: bool = False) -> None:
        """The consultant talks from now on: how long, until the lease ends, foretells waits.

        Unless the consultant is `alone`, as with a message.
        """
        self.talks_on(alone=alone)
        self._tell(State.TALKING)

    def talks_on(self, *, alone: bool = False) -> None:
        """The consultant talks, as the desk knows."""
        self._is_busy = True
        self._talks_since = None if alone else time.monotonic()

    async def give_back(self, *, unanswered: bool) -> None:
        """End the lease. Who did not answer rests five seconds, and twice in a row is paused.

        The place stays good.
        """
        became = "unanswered" if unanswered else "talked" if self._is_busy else "unused"
        since, self._talks_since, self._is_busy = self._talks_since, None, False
        talked = "" if since is None else f"{time.monotonic() - since:.3f}"
        self._offered.clear()
        self.consultant = None
        await asyncio.gather(*self._telling)  # words of this lease must not be taken for the next
        await self._do("leave", self.call_id, became, talked, self._how[0])

    async def leave(self) -> None:
        """End the place. Without Redis the lease ends by itself, so a fault is only logged."""
        try:
            await self.give_back(unanswered=False)
        except DeskClosed as exc:
            log.error("%s", exc)

    def take(self, consultant: Consultant) -> None:
        """An offer arrived from the desk."""
        self.consultant = consultant
        self._offered.set()

    def withdraw(self) -> None:
        """The desk took the offer back: it counts no more."""
        self._offered.clear()
        self.consultant = None

    def _tell(self, stage: State) -> None:
        """Nobody waits for this: should it be lost, the end of the lease says what became of it."""
        self._telling.begin(self._tell_stage(stage))

    async def _tell_stage(self, stage: State) -> None:
        try:
            await self._do("stage", self.call_id, stage.value)
        except DeskClosed as exc:
            log.error("%s", exc)
