"""Leases for callers in the fallback: the distributor says who is rung for them.

A caller whom the dialplan serves while controllers are alive tells by AMI's UserEvent, every two
seconds, that it waits (`[fallback-keys]` in extensions.conf). It gets a place in the distributor
beside the callers of controllers. Who is leased to whom is in the global variable FALLBACK_LEASES
as `<CALL=EXTENSION>...` until the dialplan rings: the right to redirect calls is not needed. So
nobody is rung twice or while signed out, and places go by arrival.
While the distributor is silent, or no controller tells it about telephones, the dialplan does not
wait for a lease: FALLBACK_LEASED_UNTIL expires, and the queue with all members is next.
"""

import asyncio
import logging
import time
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import RedisError

from callcenter.consultants.redis_script import (
    REDIS_TIMEOUT,
    DistributorScript,
    WorkRules,
    count_controllers,
    next_offers,
)
from callcenter.platform.core.beats import until_beat
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.late_answers import answer_within
from callcenter.telephony.acd.rules.priority import score
from callcenter.telephony.asterisk.ami import Ami, Fields
from callcenter.telephony.asterisk.ari import Ari

log = logging.getLogger(__name__)

RENEWAL_INTERVAL = 2.0  # seconds
RETRY_INTERVAL = 1.0  # seconds after a fault
FLAG_LIFETIME = 4  # seconds for which callers wait for a lease after the last renewal
TELL_INTERVAL = 0.1  # seconds at least between two lists of offers: callers look once a second
OFFER_POLL = 5.0  # seconds that one request for an offer waits in Redis
#: Characters of a list of offers: of an expression beyond 4095 Asterisk reads nothing.
ROOM = 3500
#: Seconds until the dialplan rings who was leased, and until it says how the ringing ended.
PROGRESS_LIMIT = 5.0
ANY_LANGUAGE = "any"  #: of a caller who chose none: the requirement and the language

_FAULTS = (OperationFailed, RedisError, OSError, TimeoutError)


@dataclass(slots=True)
class _Lease:
    """A consultant who is leased to a caller; `since` (monotonic) it is at this stage."""

    extension: str
    stage: str
    since: float


class FallbackLeases:
    """The leases of one watchdog. Made before its `ami` connects; `run` may be called once."""

    def __init__(
        self, redis: Redis, ari: Ari, ami: Ami, rules: WorkRules, ring_timeout: float
    ) -> None:
        """`ring_timeout` is the dialplan's, in seconds."""
        self._redis = redis
        self._ari = ari
        self._ami = ami
        self._name = ari.application  # unique, as that of a controller
        self._run_script = DistributorScript(redis, rules)
        self._limits = {"offered": PROGRESS_LIMIT, "ringing": ring_timeout + PROGRESS_LIMIT}
        self._leases: dict[str, _Lease] = {}
        self._withdrawals = 0  # so far
        self._events: asyncio.Queue[Fields] = asyncio.Queue()
        self._offers_changed = asyncio.Event()
        self._is_working = False
        ami.on_event("UserEvent", self._on_user_event)
        ami.on_connected(self._drop_gone)

    async def run(self) -> None:
        """Lease until cancelled. Faults of Redis and Asterisk are logged, and are over some day."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._renew_periodically())
            tasks.create_task(self._take_offers())
            tasks.create_task(self._take_events())
            tasks.create_task(self._tell_changes())

    def _on_user_event(self, fields: Fields) -> None:
        if fields.get("UserEvent") == "FallbackCaller":
            self._events.put_nowait(fields)

    async def _renew_periodically(self) -> None:
        while True:
            try:
                works = await self._can_lease()
                if works:
                    await self._renew()
                    until = str(int(time.time()) + FLAG_LIFETIME)
                    await self._set("FALLBACK_LEASED_UNTIL", until)
                why = "no controller, or no AMI"
            except _FAULTS as exc:
                works, why = False, str(exc) or "no answer"
            if works != self._is_working:
                log.info("fallback leases %s", "started" if works else f"stopped: {why}")
                self._is_working = works
            await until_beat(RENEWAL_INTERVAL if works else RETRY_INTERVAL)

    async def _can_lease(self) -> bool:
        """Whether somebody tells the distributor about telephones, and callers can tell us."""
        if not self._ami.connected.is_set():
            return False
        return await count_controllers(self._redis) > 0

    async def _renew(self) -> None:
        """Renew all leases in one step: under load there are hundreds."""
        now = time.monotonic()
        for call_id, lease in list(self._leases.items()):
            if now - lease.since > self._limits.get(lease.stage, float("inf")):
                log.warning("lease ended, no progress: call %s: %s", call_id, lease.stage)
                await self._end(call_id, "unused")
        if not self._leases:
            return
        for call_id in await self._run_script("renew", self._name, *self._leases):
            if (lost := self._leases.get(call_id)) is not None:
                await self._run_script("hold_again", call_id, self._name, lost.extension)

    # What callers say

    async def _take_events(self) -> None:
        while True:
            fields = await self._events.get()
            try:
                await self._take_event(fields["Linkedid"], fields["Stage"], fields)
            except (*_FAULTS, KeyError, ValueError) as exc:
                log.error("fallback caller not served: %r", exc)

    async def _take_event(self, call_id: str, stage: str, fields: Fields) -> None:
        lease = self._leases.get(call_id)
        if stage == "waiting":
            if lease is not None and lease.stage != "offered":  # a key ended the ringing
                await self._end(call_id, "unused")
            if call_id not in self._leases:
                await self._wait(call_id, fields)
        elif stage in ("ringing", "talking"):
            if lease is not None:
                lease.stage, lease.since = stage, time.monotonic()
                self._offers_changed.set()
                await self._run_script("stage", call_id, stage)
        elif stage == "unanswered":
            await self._end(call_id, "unanswered")
        else:  # over
            await self._end(call_id, "talked" if lease and lease.stage == "talking" else "unused")

    async def _wait(self, call_id: str, fields: Fields) -> None:
        """Take the place of a caller, or renew it: it expires without the next event."""
        arrival = float(fields["Since"])
        language = fields.get("Speaks") or ANY_LANGUAGE
        place = f"{score(arrival, urgent=fields['Urgent'] == '1'):.6f}"
        withdrawals = self._withdrawals
        extension = await self._run_script(
            "wait", call_id, self._name, language, place, f"{arrival:.6f}", language, ""
        )
        if isinstance(extension, str) and self._withdrawals == withdrawals:  # else asked again
            self._take_offer(call_id, extension)

    async def _end(self, call_id: str, how: str) -> None:
        lease = self._leases.pop(call_id, None)
        seconds = ""
        if lease is not None and how == "talked":
            seconds = f"{time.monotonic() - lease.since:.3f}"
        await self._run_script("leave", call_id, how, seconds, self._name)
        if lease is not None and lease.stage == "offered":
            self._offers_changed.set()

    async def _drop_gone(self) -> None:
        """End the leases of callers who left while AMI was away."""
        try:
            answer = await self._ami.action({"Action": "CoreShowChannels"})
            present = {item.get("Uniqueid") for item in answer.items}
            for call_id in self._leases.keys() - present:
                await self._end(call_id, "talked")
        except _FAULTS as exc:
            log.error("leases not compared with Asterisk: %s", exc)

    # What the distributor says

    async def _take_offers(self) -> None:
        while True:
            try:
                async with answer_within(OFFER_POLL + REDIS_TIMEOUT):
                    offers = await next_offers(self._redis, self._name, OFFER_POLL)
                for offer in offers:
                    self._take_offer(*offer)
            except _FAULTS:
                await asyncio.sleep(RETRY_INTERVAL)

    def _take_offer(self, call_id: str, extension: str, withdrawn: str = "") -> None:
        """Take what is offered to a caller, or withdrawn: who rings already rings to the end."""
        if withdrawn:
            self._withdrawals += 1
            self._leases.pop(call_id, None)
        else:
            self._leases[call_id] = _Lease(extension, "offered", time.monotonic())
        self._offers_changed.set()

    async def _tell_changes(self) -> None:
        """Tell the dialplan whom it is to ring for whom: what changes meanwhile goes together."""
        while True:
            await self._offers_changed.wait()
            self._offers_changed.clear()
            try:
                await self._tell_offers()
                await asyncio.sleep(TELL_INTERVAL)
            except _FAULTS as exc:
                log.error("offers not told, trying again: %s", str(exc) or "no answer")
                self._offers_changed.set()
                await asyncio.sleep(RETRY_INTERVAL)

    async def _tell_offers(self) -> None:
        """Tell the oldest of them; those for whom there is no room come when these ring."""
        offers = ""
        for call_id, lease in self._leases.items():
            if lease.stage == "offered" and len(offers) < ROOM:
                offers += f"<{call_id}={lease.extension}>"
        await self._set("FALLBACK_LEASES", offers)

    async def _set(self, variable: str, value: str) -> None:
        """Set a global variable of the dialplan."""
        query = {"variable": variable, "value": value}
        await self._ari.request("POST", "asterisk/variable", query, within=REDIS_TIMEOUT)
