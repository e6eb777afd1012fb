"""Cluster membership: who is alive on one Asterisk, and who takes over from the dead.

Each instance (one run of a controller, or of a watchdog) is a Stasis application with a name of its
own, and holds a lock on a member file (`member_files`). One whose lock is free is dead, or says
that it has left; nobody is dead for being late. What is stopped or hangs is killed by its own
sentinel (`sentinel_program`), so the others notice it in the same way. Its calls are taken over by
the one that gets the claim on its file, which the kernel gives to one alone. All of that works
while Redis and PostgreSQL are down.

Two cases are left. One that cannot reach Asterisk, though another can, gives its calls up
(`_is_cut_off`). And a process that is frozen whole, with its sentinel, as by the freezer of its
control group, is taken for dead once its loop has not turned for long while nobody waited for the
processor all the time, and others get what it was taking over; should it go on, it is fenced
(`callcenter.telephony.asterisk.fence`).
"""

import asyncio
import itertools
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from callcenter.platform.core.beats import next_beat, until_beat
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.late_answers import answer_within
from callcenter.telephony.asterisk.ari import Ari, Event
from callcenter.telephony.asterisk.cluster import member_files
from callcenter.telephony.asterisk.cluster.admission import AdmissionControl
from callcenter.telephony.asterisk.cluster.former_heartbeats import FormerMembers
from callcenter.telephony.asterisk.cluster.member_files import (
    NO_FLAGS,
    MemberFile,
    MemberFlag,
    MemberRecord,
)
from callcenter.telephony.asterisk.fence import UNSURE_AFTER, Fence, Fenced

log = logging.getLogger(__name__)

TICK_INTERVAL = 0.5  # seconds between two looks at the others
ECHO_INTERVAL = 1.0  # seconds between two events that we send to ourselves, while others come
QUIET_ECHO_INTERVAL = 2.0  # seconds between two while no others come
ECHO_LIMIT = 2.0  # seconds after Asterisk's answer within which the event must come
CUT_OFF_AFTER = 3.5  # seconds without Asterisk, while another hears it: our calls need that one
#: Seconds for which another hears Asterisk and we do not: when it comes back each finds it at a
#: moment of its own (`ari.LAST_DELAY`), and who is the second is not cut off.
MISSED_AFTER = 1.25
LATE_AFTER = 0.5  # seconds: a turn of our loop that late explains why we heard nothing
#: Seconds for which a loop that has the processor does not turn, and is not killed by its sentinel.
FROZEN_AFTER = 2 * UNSURE_AFTER
#: The part of that time for which somebody waited for the processor at most: it was not the frozen.
UNPRESSED = 0.8
ECHO_EVENT = "echo"  #: the name of the user event
LINE, WATCHDOG = "line-", "watchdog-"  #: prefixes of names of instances


class AsteriskDeaf(OperationFailed):
    """Asterisk answers requests and sends no events."""


@dataclass(frozen=True, slots=True)
class _Standstill:
    """Since when a member's loop does not turn, and how long somebody had waited when seen."""

    ticks: int
    since: float
    seen_at: float | None = None  #: None: it turned until now
    pressure: float | None = None


@dataclass(frozen=True, slots=True)
class _Echo:
    """An event that we sent ourselves, and have not heard yet."""

    begun_at: float
    heard: asyncio.Future[None]


class ClusterMembership:
    """One instance's membership, and its view of the others. `run` must be running."""

    def __init__(
        self,
        ari: Ari,
        fence: Fence,
        folder: Path,
        on_dead: Callable[[str, bool], Awaitable[None]],
        admission: AdmissionControl,
    ) -> None:
        """`on_dead` takes over from an instance; the flag: it left in order.

        `folder` is shared by all members of this Asterisk.
        """
        self.me = ari.application
        self.path = folder / self.me  #: our member file
        self.fence = fence
        self._serves = True
        self.admission = admission
        self.lateness = 0.0  #: seconds that the last turn of our loop was late
        self._ari = ari
        self._folder = folder
        self._on_dead = on_dead
        self._record = MemberRecord()
        self._file: MemberFile | None = None
        self._others: dict[str, MemberRecord] = {}  # that are alive
        self._dead: dict[str, tuple[float, bool]] = {}  # since when, and whether it left in order
        self._still: dict[str, _Standstill] = {}
        self._frozen: dict[str, MemberRecord] = {}
        self._former = FormerMembers(ari)
        self._served_at = self._late_at = self._heard_at = time.monotonic()
        self._has_heard = False  # Asterisk, ever: else no call can be ours
        self._missed_since = float("inf")  # that another hears Asterisk, and we do not
        self._serials = itertools.count(1)
        self._echoes: dict[int, _Echo] = {}  # that are to come, by serial
        self._judged_since = float("inf")
        self._news = 0  # events that were no echoes
        self._is_deaf = False  # since an event of our own did not come
        self._taking: dict[str, asyncio.Task[None]] = {}

    # The others

    @property
    def alive(self) -> set[str]:
        """Other instances that are alive, whether they take over from others or not."""
        return {*self._others, *self._former.alive}

    @property
    def serving(self) -> set[str]:
        """Others that are alive, and take over."""
        serving = {each for each, it in self._others.items() if it.flags & MemberFlag.SERVES}
        return serving | self._former.serving

    @property
    def is_first(self) -> bool:
        """Whether we are the first of those that serve, who does what one alone has to do."""
        return self._serves and all(self.me < each for each in self.serving)

    @property
    def nobody_admits(self) -> bool:
        """Whether others serve, and none of them claims new calls."""
        serving = [it for it in self._others.values() if it.flags & MemberFlag.SERVES]
        return bool(serving) and all(it.flags & MemberFlag.OVERLOADED for it in serving)

    @property
    def watching(self) -> set[str]:
        """Watchdogs that are alive (`callcenter.telephony.asterisk.cluster.watchdog`)."""
        return {each for each in self.alive if each.startswith(WATCHDOG)}

    @property
    def dead(self) -> set[str]:
        """Members that are dead or have left, and from whom something may be left."""
        return set(self._dead)

    @property
    def unserved(self) -> float:
        """Seconds since another was alive that takes over."""
        return time.monotonic() - self._served_at

    def dead_for(self, instance: str) -> float:
        """Seconds for which this instance is dead; 0 when it is not."""
        since, _ = self._dead.get(instance, (None, False))
        return 0.0 if since is None else time.monotonic() - since

    def forget(self, instance: str) -> None:
        """Remove an instance from which nothing is left."""
        member_files.forget(self._folder, instance)
        self._former.forget(instance)
        self._dead.pop(instance, None)

    # Ourselves

    @property
    def seconds_since_heard(self) -> float:
        """Seconds since Asterisk was heard last."""
        return time.monotonic() - self._heard_at

    @property
    def hears(self) -> bool:
        """Whether Asterisk was heard of late."""
        return not self._is_deaf and self.seconds_since_heard < CUT_OFF_AFTER

    async def run(self) -> None:
        """Be a member, and take over from the dead, until cancelled.

        Raises DependencyUnavailable when the folder cannot be written.
        """
        file = self._file = MemberFile(self._folder, self.me)
        listening = asyncio.create_task(self._listen())
        try:
            while True:
                due = next_beat(TICK_INTERVAL)
                self.turn()
                if not self.fence.is_fenced and not self.path.exists():
                    log.error(
                        "member file deleted, made anew: %s: do not clean its folder", self.path
                    )
                    file.close(remove=False)
                    file = self._file = MemberFile(self._folder, self.me)
                await asyncio.sleep(due - time.monotonic())
                self._note_lateness(due)
        finally:
            tasks = [listening, *self._taking.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._file = None
            has_left = bool(self._record.flags & MemberFlag.LEFT)
            file.close(remove=not has_left and not self.fence.is_fenced)

    def leave(self) -> None:
        """Leave in order: all that is ours is the others' now, and we act no more."""
        self.fence.give_up()
        self._publish(flags=MemberFlag.LEFT)
        self._former.say_that_we_leave(self.me)

    def stop_serving(self) -> None:
        """Take over from no instance that dies from now on, and tell the others so."""
        self._serves = False

    def on_event(self, event: Event) -> None:
        """Take in a user event of ARI: our own echo, or what a former version sends."""
        if event.get("eventname") != ECHO_EVENT:
            self._former.on_event(event, self.me, serves=self._serves)
            return
        with suppress(KeyError, ValueError, TypeError):  # no event of ours
            serial = int(event["userevent"]["serial"])
            self._news -= 1
            for sent, echo in self._echoes.items():  # one before it may be lost
                if sent <= serial and not echo.heard.done():
                    echo.heard.set_result(None)

    def heard(self) -> None:
        """Take in that an event of Asterisk came, whichever: it may be late, and is not deaf."""
        self._heard_at = time.monotonic()
        self._has_heard = True
        self._is_deaf = False
        self._news += 1

    async def await_echo(self) -> None:
        """Send ourselves an event, and return when it comes.

        Raises AsteriskDeaf when the request is answered and no event comes, OperationFailed.
        """
        serial = next(self._serials)
        body = {"variables": {"serial": str(serial)}}
        query = {"application": self.me}
        heard = asyncio.get_running_loop().create_future()
        echo = self._echoes[serial] = _Echo(time.monotonic(), heard)
        try:
            await self._ari.request("POST", f"events/user/{ECHO_EVENT}", query, body=body)
            async with answer_within(ECHO_LIMIT):
                await heard
        except TimeoutError:
            self._is_deaf = True
            raise AsteriskDeaf("no events from Asterisk, though it answers") from None
        finally:
            self._echoes.pop(serial, None)
        self._admit(echo.begun_at)

    def judge_lateness(self) -> None:
        """Have lateness close admission from now on: until then our own start is what is late."""
        self._judged_since = min(self._judged_since, time.monotonic())

    async def look_for_former(self) -> None:
        """Ask Asterisk, once for each connection, for members of a former version."""
        await self._former.look(members={self.me, *self._others, *self._dead})

    async def _listen(self) -> None:
        """Make sure that events come; a connection by which none come is made anew."""
        news = 0
        while True:
            is_quiet, news = self._news == news, self._news
            await until_beat(QUIET_ECHO_INTERVAL if is_quiet else ECHO_INTERVAL)
            if not self._ari.connected.is_set():
                continue
            try:
                await self.await_echo()
            except Fenced:
                return
            except AsteriskDeaf as exc:
                log.error("ARI events missing: %s; connecting again", exc)
                await self._ari.connect_again()
            except OperationFailed as exc:
                log.info("echo not sent: %s", exc)

    def turn(self) -> None:
        """Tell that our loop turns, look at the others, and begin to take over from the dead."""
        self.fence.turn()
        now = time.monotonic()
        for echo in self._echoes.values():
            if now - echo.begun_at > TICK_INTERVAL / 2:  # or it has just been sent
                self._admit(echo.begun_at)
        may_serve = self._ari.connected.is_set() and not self.fence.is_fenced
        flags = MemberFlag.SERVES if self._serves and may_serve else NO_FLAGS
        flags |= MemberFlag.OVERLOADED if self.admission.is_closed else NO_FLAGS
        self._publish(flags=flags, ticks=self._record.ticks + 1, heard_at=self._heard_at)
        try:
            self._look(now)
        except OSError as exc:  # as when no file can be opened any more: calls go on
            log.error("members not read, going on with what was seen: %s", exc)
        if self.serving:
            self._served_at = now
        if self._is_cut_off(now):
            log.critical("ARI unreachable though another controller hears it: calls given up")
            self.fence.give_up()
        elif flags & MemberFlag.SERVES:
            for instance in sorted(self._dead.keys() - self._taking.keys()):
                self._taking[instance] = asyncio.create_task(self._take_over(instance))

    def _publish(self, **changes: Any) -> None:
        if self._record.flags & MemberFlag.LEFT:
            return  # permanently
        self._record = replace(self._record, **changes)
        if self._file is not None:
            self._file.publish(self._record)

    def _note_lateness(self, due: float) -> None:
        self.lateness = time.monotonic() - due
        if self.lateness > LATE_AFTER:
            self._late_at = time.monotonic()
        self._admit(due)

    def _admit(self, due: float) -> None:
        """Take in that what was due then came now."""
        now, admission = time.monotonic(), self.admission
        if due >= self._judged_since and admission.observe(now, now - due):
            if admission.is_closed:
                log.warning(
                    "admission closed: %.2f s late, %.2f in the mean: others claim new calls",
                    now - due,
                    admission.mean,
                )
            else:
                log.warning("admission opened: new calls are claimed again")

    def _is_cut_off(self, now: float) -> bool:
        """Whether another hears Asterisk while we, who are not late, have not for a while."""
        others = [it for it in self._others.values() if it.flags & MemberFlag.SERVES]
        later = [it.heard_at for it in others if it.heard_at > self._heard_at + CUT_OFF_AFTER / 2]
        self._missed_since = min(self._missed_since, *later) if later else float("inf")
        return (
            self._serves
            and self._has_heard
            and not self.fence.is_fenced
            and min(now - self._heard_at, now - self._late_at) > CUT_OFF_AFTER
            and now - self._missed_since > MISSED_AFTER
        )

    def _look(self, now: float) -> None:
        """Read the files of all members."""
        others: dict[str, MemberRecord] = {}
        frozen: dict[str, MemberRecord] = {}
        members = [*member_files.read_members(self._folder, self.me)]
        for instance, _, _ in members:
            self._former.forget(instance)  # it had no file yet when Asterisk was asked
        gone = self._former.dead(now)
        for instance, record, is_alive in members:
            has_left = bool(record.flags & MemberFlag.LEFT)
            if is_alive and self._is_frozen(instance, record, now):
                frozen[instance] = record
            if is_alive and not has_left and instance not in frozen:
                others[instance] = record
            elif instance.startswith(WATCHDOG) and not is_alive:
                member_files.forget(self._folder, instance)
            else:
                gone[instance] = has_left
        self._others = others
        self._dead = {
            each: self._dead.get(each, (now, in_order)) for each, in_order in gone.items()
        }
        self._frozen = frozen
        self._still = {e: it for e, it in self._still.items() if e in others or e in frozen}

    def _is_frozen(self, instance: str, record: MemberRecord, now: float) -> bool:
        """Whether its loop stands still although it did not wait for the processor."""
        still = self._still.get(instance)
        if still is None or still.ticks != record.ticks or self.lateness > LATE_AFTER:
            self._still[instance] = _Standstill(record.ticks, now)
            return False
        pressure = cpu_pressure()
        if still.seen_at is None:
            self._still[instance] = replace(still, seen_at=now, pressure=pressure)
            return False
        if now - still.since < FROZEN_AFTER or pressure is None or still.pressure is None:
            return False
        return pressure - still.pressure < UNPRESSED * (now - still.seen_at)

    # The calls of the dead

    async def _take_over(self, instance: str) -> None:
        try:
            await self.with_claim(instance, self._take_over_claimed)
        finally:
            self._taking.pop(instance, None)

    async def _take_over_claimed(self, instance: str) -> None:
        _, in_order = self._dead[instance]
        await self._on_dead(instance, in_order)
        await self._former.remove_names_of_dead(self.alive)
        self.forget(instance)

    async def with_claim(self, instance: str, action: Callable[[str], Awaitable[None]]) -> None:
        """Run this on what a dead instance left, unless another has the claim, or it lives.

        Faults are logged: the caller tries again.
        """
        try:
            with member_files.claimed(self._folder, instance) as is_ours:
                if not is_ours:
                    return
                is_there = (self._folder / instance).exists()
                if not (is_there or self._former.may_take_over(instance)):
                    if self._former.serving:  # and leaves this name on what it took over
                        await self._former.remove_names_of_dead(self.alive)
                    return
                self._publish(claims=(*self._record.claims, instance))
                try:
                    await self._act_on_dead(instance, action)
                finally:  # in this order: what we publish is ours
                    claims = (each for each in self._record.claims if each != instance)
                    self._publish(claims=tuple(claims))
        except OperationFailed as exc:
            log.error("takeover failed, trying again: %s: %s", instance, exc)
        except Exception:
            log.exception("takeover failed, trying again: %s", instance)

    async def _act_on_dead(self, instance: str, action: Callable[[str], Awaitable[None]]) -> None:
        """Run this under the claim, unless the instance lives after all."""
        if instance in self._frozen:  # it may just have gone on, before it saw the claim
            await asyncio.sleep(2 * TICK_INTERVAL)
        async with self._former.claimed(instance) as is_left_to_us:
            if is_left_to_us and instance in self._dead:
                if instance in self._frozen:
                    member_files.release_claims(self._folder, self._frozen[instance].claims)
                    self.turn()  # we claim them first: others may not know yet that it is frozen
                await action(instance)


def cpu_pressure() -> float | None:
    """Seconds in which some process of the machine waited for the processor, since its boot.

    None where the kernel does not tell: Documentation/accounting/psi.rst.
    """
    try:
        content = Path("/proc/pressure/cpu").read_text(encoding="ascii")
        return int(content.split("\n", 1)[0].rpartition("total=")[2]) / 1e6
    except (OSError, ValueError):
        return None
