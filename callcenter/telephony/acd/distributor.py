"""Automatic call distributor (ACD) in Redis, shared by all controllers.

The first call by `rules/priority.py` gets the longest idle consultant among those who speak the
caller's language and have the required skill. Idle means: on the roster, ready (see
`consultants.rules.states`), the telephone registered and not in a call, not leased. A lease ends
with its place or, five seconds after the last heartbeat, with its controller. All data can be lost
and is then rebuilt from PostgreSQL and the switch.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import chain

from redis.asyncio import Redis
from redis.exceptions import RedisError

from callcenter.consultants.redis_script import (
    REDIS_TIMEOUT,
    DistributorScript,
    DistributorUnavailable,
    PlainRules,
    WorkRules,
    next_offers,
)
from callcenter.consultants.roster import NO_STATES, push_roster
from callcenter.consultants.rules.skills import want
from callcenter.consultants.rules.states import PresenceState
from callcenter.consultants.state_history import PresenceChange
from callcenter.consultants.store import Consultant
from callcenter.platform.core.background_tasks import BackgroundTasks
from callcenter.platform.core.beats import next_beat, until_beat
from callcenter.platform.core.late_answers import answer_within
from callcenter.telephony.acd.rules.priority import score
from callcenter.telephony.acd.rules.transfer_target import ANY_CONSULTANT, TransferTarget

log = logging.getLogger(__name__)

HEARTBEAT_INTERVAL = 1.0  # seconds
IDLE_HEARTBEAT_INTERVAL = 2.0  # seconds, while we have no call: a lease lasts for five
OFFER_POLL = 5.0  # seconds that one request for an offer waits in Redis
RETRY_INTERVAL = 2.0  # seconds between two renewals of a place: without them it expires
CLOCK_TIMEOUT = 0.25  # seconds for Redis to return the time
PLAIN_RULES = PlainRules()


class RedisCallDistributor:
    """Distributor of one controller. `run` must be running for offers to arrive."""

    def __init__(self, redis: Redis, controller: str, rules: WorkRules = PLAIN_RULES) -> None:
        self._redis = redis
        self._controller = controller
        self.script = DistributorScript(redis, rules)
        self._roster: dict[str, Consultant] = {}
        self._places: dict[str, RedisQueuePlace] = {}
        self._reserved: dict[str, str] = {}  # extension by call
        self._has_call = asyncio.Event()  # wakes the heartbeat of one that had none
        self.roster_loaded = asyncio.Event()  #: set once there is a roster
        self.offers = 0  #: to calls of this controller, so far
        self._empty_handler: Callable[[], None] | None = None
        self._withdrawal_handler: Callable[[str], None] | None = None

    @property
    def calls(self) -> frozenset[str]:
        """Ids of calls of this controller that wait, are offered to somebody, or talk."""
        return frozenset(self._places) | frozenset(self._reserved)

    def on_empty(self, handler: Callable[[], None]) -> None:
        """Register the handler that has roster and devices restored; it must not block.

        It is called each second or two while Redis has no roster.
        """
        self._empty_handler = handler

    def on_withdrawn(self, handler: Callable[[str], None]) -> None:
        """Register the handler that stops ringing an extension; it must not block."""
        self._withdrawal_handler = handler

    async def run(self) -> None:
        """Receive offers and renew leases until cancelled; survives outages of Redis."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tick())
            tasks.create_task(self._listen())

    async def update_roster(
        self,
        consultants: Iterable[Consultant],
        last_changes: Mapping[str, PresenceChange] = NO_STATES,
        read_at: float | None = None,
    ) -> None:
        """Replace the roster: consultants who are not on it get no calls.

        `last_changes` are the last states in the database, by extension, for a Redis without them.
        `read_at` is when the roster began to be read, by `read_clock`; it is of now by default.
        Redis keeps one that is newer. Raises DistributorUnavailable.
        """
        self.take_roster(consultants)
        if read_at is None:
            read_at = await self.read_clock()
        await push_roster(self.script, self._roster.values(), last_changes, read_at)

    def take_roster(self, consultants: Iterable[Consultant]) -> None:
        """Replace the roster of this controller alone."""
        self._roster = {consultant.extension: consultant for consultant in consultants}
        self.roster_loaded.set()

    async def read_clock(self) -> float:
        """Epoch seconds by the clock of Redis alone. Raises DistributorUnavailable."""
        return float(await self.script("now"))

    @property
    def shut_out_consultants(self) -> dict[str, str]:
        """Extensions in calls of this controller that are not on the roster, by call."""
        talking = {call_id: place.talking_extension for call_id, place in self._places.items()}
        return {
            call_id: extension
            for call_id, extension in (talking | self._reserved).items()
            if extension is not None and extension not in self._roster
        }

    def find_consultant(self, extension: str) -> Consultant | None:
        """Return the consultant of an extension in the last roster, also without Redis."""
        return self._roster.get(extension)

    async def update_devices(self, states: Mapping[str, str], stamp: float) -> None:
        """Report device states of Asterisk by extension; `stamp` is UTC epoch seconds."""
        await self.update_device_changes({e: (state, stamp) for e, state in states.items()})

    async def update_device_changes(self, changes: Mapping[str, tuple[str, float]]) -> None:
        """Report device states by extension, each with its stamp, see `update_devices`."""
        arguments = ((e, state, f"{stamp:.6f}") for e, (state, stamp) in changes.items())
        if changes:
            await self.script("devices", *chain.from_iterable(arguments))

    async def now(self) -> float:
        """Return epoch seconds by the clock of Redis, the same for all controllers.

        By our own when it does not answer in a quarter of a second: the caller hears nothing then.
        """
        try:
            async with asyncio.timeout(CLOCK_TIMEOUT):
                return float(await self.script("now"))
        except (DistributorUnavailable, TimeoutError):
            return time.time()

    @asynccontextmanager
    async def place(
        self,
        call_id: str,
        language: str,
        *,
        arrived: float | None = None,
        urgent: bool = False,
        target: TransferTarget = ANY_CONSULTANT,
        preferred: str | None = None,
    ) -> AsyncIterator["RedisQueuePlace"]:
        """Queue a call; its place and lease end with the block.

        `arrived` is in epoch seconds, now by default: a caller who returns keeps it. Consultants
        fit who speak the language and have the skill of the `target`, or only the one it names,
        whatever the language. `preferred` is leased when idle and fitting as the call enters the
        queue.
        """
        arrival = time.time() if arrived is None else arrived
        priority = f"{score(arrival, urgent=urgent):.6f}"
        requirement = want(language, target.skill, target.level, target.extension)
        arguments = (
            self._controller,
            language,
            priority,
            f"{arrival:.6f}",
            requirement,
            preferred or "",
        )
        place = RedisQueuePlace(self.script, call_id, arguments, self._take_offer)
        self._places[call_id] = place
        self._has_call.set()
        try:
            yield place
        finally:
            try:
                await asyncio.shield(place.leave())
            finally:  # a hangup may cancel us here
                del self._places[call_id]

    @asynccontextmanager
    async def adopt(
        self, consultant: Consultant, live_controllers: Iterable[str], call_id: str
    ) -> AsyncIterator["RedisQueuePlace"]:
        """Take over the lease of this consultant from a dead controller.

        If one of `live_controllers` has it by now, it stays there, also with another call of ours.
        `call_id` is for a new lease, when the old one is lost. While Redis is down the conversation
        goes on without a lease.
        """
        try:
            call_id = await self.script(
                "adopt", consultant.extension, self._controller, call_id, *live_controllers
            )
        except DistributorUnavailable as exc:
            log.error("distributor unavailable: %s", exc)
        place = RedisQueuePlace(self.script, call_id, (self._controller,), self._take_offer)
        place.assign_consultant(consultant)
        place.mark_talking()
        self._places[call_id] = place
        self._has_call.set()
        try:
            yield place
        finally:
            await asyncio.shield(place.leave())
            del self._places[call_id]

    @asynccontextmanager
    async def reserve(self, call_id: str, extension: str) -> AsyncIterator["RedisReservation"]:
        """Reserve a consultant for an outbound call within the block: no offers meanwhile.

        Either this or a concurrent offer wins. A pause resumes afterwards. Raises NotFree,
        NotOnRoster, DistributorUnavailable.
        """
        await self.script("occupy", call_id, self._controller, extension)
        self._reserved[call_id] = extension
        self._has_call.set()
        reservation = RedisReservation()
        try:
            yield reservation
        finally:
            del self._reserved[call_id]
            await asyncio.shield(self._end_reservation(call_id, reservation))

    async def _end_reservation(self, call_id: str, reservation: "RedisReservation") -> None:
        try:
            outcome = "talked" if reservation.has_talked else "unused"
            await self.script("leave", call_id, outcome, "", self._controller)
        except DistributorUnavailable as exc:  # the lease expires
            log.error("distributor unavailable: %s", exc)

    async def _tick(self) -> None:
        while True:
            try:
                holding = [call for call, place in self._places.items() if place.consultant]
                holding += self._reserved
                has_roster, *lost_leases = await self.script("tick", self._controller, *holding)
                if not has_roster and self._empty_handler is not None:
                    self._empty_handler()
                for call_id in lost_leases:
                    await self._restore_lease(call_id)
            except DistributorUnavailable as exc:
                log.error("distributor unavailable: %s", exc)
            await self._until_next_tick()

    async def _until_next_tick(self) -> None:
        if self.calls:
            await until_beat(HEARTBEAT_INTERVAL)
            return
        self._has_call.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout_at(next_beat(IDLE_HEARTBEAT_INTERVAL)):
                await self._has_call.wait()

    async def _restore_lease(self, call_id: str) -> None:
        """Restore a lease that Redis lost while the consultant talks."""
        place = self._places.get(call_id)
        extension = place.talking_extension if place is not None else self._reserved.get(call_id)
        if extension:
            await self.script("hold_again", call_id, self._controller, extension)

    async def _listen(self) -> None:
        while True:
            try:
                async with answer_within(OFFER_POLL + REDIS_TIMEOUT):
                    offers = await next_offers(self._redis, self._controller, OFFER_POLL)
            except (RedisError, OSError, TimeoutError) as exc:
                log.error("offer poll failed: %s", exc)
                await asyncio.sleep(HEARTBEAT_INTERVAL)
                continue
            for call_id, extension, *withdrawn in offers:
                if withdrawn:
                    self._withdraw_offer(call_id, extension)
                elif call_id in self._places:
                    self._take_offer(call_id, extension)
            for call_id in {call_id for call_id, *_ in offers} - self._places.keys():
                await self._end_unclaimed(call_id)

    def _take_offer(self, call_id: str, extension: str) -> None:
        consultant = self._roster.get(extension)
        if consultant is not None:
            self.offers += 1
            self._places[call_id].assign_consultant(consultant)

    async def _end_unclaimed(self, call_id: str) -> None:
        """End the lease of a caller who hung up, or called before a restart."""
        try:
            await self.script("leave", call_id, "unused")
        except DistributorUnavailable as exc:  # the lease expires
            log.error("distributor unavailable: %s", exc)

    def _withdraw_offer(self, call_id: str, extension: str) -> None:
        place = self._places.get(call_id)
        if place is not None:
            place.withdraw()
        if self._withdrawal_handler is not None:
            self._withdrawal_handler(extension)


@dataclass(slots=True)
class RedisReservation:
    """Reservation for an outbound call; wrap-up follows if `has_talked`."""

    has_talked: bool = False


class RedisQueuePlace:
    """Place of one call in the queue, and its lease of a consultant."""

    def __init__(
        self,
        run_script: DistributorScript,
        call_id: str,
        arguments: Sequence[str],
        take_offer: Callable[[str, str], None],
    ) -> None:
        """`arguments` are those of `wait` in distributor.lua; the first is the controller.

        `take_offer` gets call and extension, and assigns the consultant.
        """
        self.call_id = call_id
        self.consultant: Consultant | None = None
        self._run_script = run_script
        self._arguments = arguments
        self._take_offer = take_offer
        self._has_withdrawn = False  # since `wait` was last requested
        self._offered = asyncio.Event()
        self._talking_since: float | None = None
        self._is_talking = False
        self._stage_reports = BackgroundTasks()

    async def wait_for_offer(self, timeout: float) -> Consultant | None:
        """Wait for a consultant; returns the leased one, None after `timeout` seconds.

        Cancelling is safe: a lease that was on its way ends with the place. Raises
        DistributorUnavailable."""
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            self._has_withdrawn = False
            extension = await self._run_script("wait", self.call_id, *self._arguments)
            if self._has_withdrawn:  # which one, only the next answer says
                continue
            if isinstance(extension, str):
                self._take_offer(self.call_id, extension)
            try:
                async with asyncio.timeout(min(left, RETRY_INTERVAL)):
                    await self._offered.wait()
            except TimeoutError:
                continue
            if self.consultant is not None:  # else it was withdrawn
                return self.consultant
        return None

    @property
    def talking_extension(self) -> str | None:
        """Extension of the consultant in a conversation, else None."""
        return self.consultant.extension if self.consultant and self._is_talking else None

    def mark_ringing(self) -> None:
        """Report that the consultant is being rung; returns at once."""
        self._report_stage(PresenceState.RINGING)

    def mark_answered(self) -> None:
        """Report that the consultant answered; the time until release is handling time."""
        self.mark_talking()
        self._report_stage(PresenceState.TALKING)

    def mark_talking(self) -> None:
        """Mark the consultant as talking, without a report."""
        self._is_talking = True
        self._talking_since = time.monotonic()

    async def release(self, *, unanswered: bool) -> None:
        """End the lease. After one missed offer the consultant rests, after two is paused.

        The place stays in the queue.
        """
        outcome = "unanswered" if unanswered else "talked" if self._is_talking else "unused"
        since, self._talking_since, self._is_talking = self._talking_since, None, False
        talked_seconds = "" if since is None else f"{time.monotonic() - since:.3f}"
        self._offered.clear()
        self.consultant = None
        await asyncio.gather(*self._stage_reports)  # reports of this lease must precede the next
        await self._run_script("leave", self.call_id, outcome, talked_seconds, self._arguments[0])

    async def leave(self) -> None:
        """Leave the queue. Without Redis the lease expires, so a fault is only logged."""
        try:
            await self.release(unanswered=False)
        except DistributorUnavailable as exc:
            log.error("distributor unavailable: %s", exc)

    def assign_consultant(self, consultant: Consultant) -> None:
        """Assign the offered consultant."""
        self.consultant = consultant
        self._offered.set()

    def withdraw(self) -> None:
        """Drop an offer that was withdrawn."""
        self._has_withdrawn = True
        self._offered.clear()
        self.consultant = None

    def _report_stage(self, stage: PresenceState) -> None:
        """Report a stage in the background: if it is lost, the end of the lease corrects it."""
        self._stage_reports.spawn(self._send_stage(stage))

    async def _send_stage(self, stage: PresenceState) -> None:
        try:
            await self._run_script("stage", self.call_id, stage.value)
        except DistributorUnavailable as exc:
            log.error("distributor unavailable: %s", exc)
