"""Simulated Redis, distributor and database: what controllers use of them, and no more.

The distributor keeps the contract of `calls.ports.CallDistributor`; its Lua script is not run.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from callcenter.appeals.calls.store import EventRow, LiveAppeal
from callcenter.consultants.redis_script import DistributorUnavailable
from callcenter.platform.core.errors import DependencyUnavailable
from callcenter.platform.core.late_answers import answer_within
from callcenter.telephony.acd.rules.transfer_target import ANY_CONSULTANT, TransferTarget
from callcenter.telephony.calls.journal.events import (
    BecameUrgent,
    CallClosed,
    CallOpened,
    ConsultantAssigned,
    Entry,
    EventRecorded,
    LanguageChosen,
)
from tests.simulation.host import SimulatedProcess
from tests.simulation.network import Network, running_process

ANSWER_LIMIT = 0.5  # seconds for the distributor to answer
OFFER_POLL = 0.8  # seconds between two questions of a caller who waits
CONNECT_LIMIT = 5.0  # seconds for the database to answer
CONTROLLER_LIMIT = 5.0  # seconds without a word of a controller until its leases end
TICK = 1.0  # seconds between two words of a controller


class RedisServer:
    """Keys and values."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def restart(self, snapshot: Mapping[str, str]) -> None:
        """End, and come back with what its disk has: an old server, or an empty one."""
        self.values = dict(snapshot)


class RedisClient:
    """In place of `redis.asyncio.Redis`, for the states of calls."""

    def __init__(self, network: Network, server: RedisServer) -> None:
        self._network = network
        self._server = server

    async def get(self, key: str) -> str | None:
        value: str | None = await self._network.call("redis", lambda: self._server.values.get(key))
        return value

    def register_script(self, _script: str) -> Callable[..., Any]:
        """Only that of `call_state_store`: seconds, then keys and values; an empty one deletes."""

        async def run(*, args: Sequence[object]) -> None:
            pairs = [str(each) for each in args[1:]]
            await self._network.call("redis", lambda: self._save(pairs))

        return run

    def _save(self, pairs: Sequence[str]) -> None:
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            if value:
                self._server.values[key] = value
            else:
                self._server.values.pop(key, None)


# Distributor


@dataclass(frozen=True, slots=True)
class Consultant:
    """A consultant on the roster."""

    id: uuid.UUID
    extension: str


@dataclass
class Lease:
    """Who has a consultant."""

    call_id: str
    controller: str


@dataclass
class Distribution:
    """The distributor's server: leases of consultants, and who waits."""

    clock: Callable[[], float]
    is_busy: Callable[[str], bool]  #: whether the telephone of an extension is in a call
    roster: dict[str, Consultant]
    leases: dict[str, Lease] = field(default_factory=dict)
    waiting: dict[str, tuple[float, str]] = field(default_factory=dict)
    heard_at: dict[str, float] = field(default_factory=dict)
    rests_until: dict[str, float] = field(default_factory=dict)

    def tick(self, controller: str) -> None:
        now = self.clock()
        self.heard_at[controller] = now
        for extension, lease in list(self.leases.items()):
            if now - self.heard_at.get(lease.controller, 0.0) > CONTROLLER_LIMIT:
                del self.leases[extension]
        for call_id, (_, owner) in list(self.waiting.items()):
            if now - self.heard_at.get(owner, 0.0) > CONTROLLER_LIMIT:
                del self.waiting[call_id]

    def wait(self, call_id: str, controller: str, arrived: float) -> str | None:
        """Lease a consultant, if it is this caller's turn."""
        self.heard_at.setdefault(controller, self.clock())
        self.waiting[call_id] = (arrived, controller)
        for extension, lease in self.leases.items():
            if lease.call_id == call_id and lease.controller == controller:
                return extension
        now = self.clock()
        free = [
            each
            for each in self.roster
            if each not in self.leases
            and self.rests_until.get(each, 0.0) <= now
            and not self.is_busy(each)
        ]
        order = sorted(self.waiting, key=lambda each: self.waiting[each])
        if call_id in order[: len(free)]:
            extension = free[order.index(call_id)]
            self.leases[extension] = Lease(call_id, controller)
            return extension
        return None

    def release(self, call_id: str, controller: str, *, rests: bool) -> None:
        """Only the holder ends a lease."""
        for extension, lease in list(self.leases.items()):
            if (lease.call_id, lease.controller) == (call_id, controller):
                del self.leases[extension]
                if rests:
                    self.rests_until[extension] = self.clock() + 5.0

    def leave(self, call_id: str, controller: str) -> None:
        self.release(call_id, controller, rests=False)
        if self.waiting.get(call_id, (0.0, controller))[1] == controller:
            self.waiting.pop(call_id, None)

    def adopt(self, extension: str, controller: str, call_id: str, living: Collection[str]) -> str:
        lease = self.leases.get(extension)
        if lease is not None and lease != Lease(call_id, controller):
            if lease.controller in living:
                return call_id
            call_id = lease.call_id
        self.leases[extension] = Lease(call_id, controller)
        self.heard_at.setdefault(controller, self.clock())
        return call_id


class SimulatedDistributor:
    """One controller's part of the distributor (`calls.ports.CallDistributor`)."""

    def __init__(self, network: Network, server: Distribution, controller: str) -> None:
        self._network = network
        self._server = server
        self._controller = controller
        self.roster_loaded = asyncio.Event()
        self.roster_loaded.set()

    async def run(self) -> None:
        """Tell the server that we live, until cancelled."""
        while True:
            with suppress(DistributorUnavailable):
                await self.call(lambda: self._server.tick(self._controller))
            await asyncio.sleep(TICK)

    async def call(self, work: Callable[[], Any]) -> Any:
        try:
            async with answer_within(ANSWER_LIMIT):
                return await self._network.call("redis", work)
        except TimeoutError:
            raise DistributorUnavailable("no answer") from None

    def find_consultant(self, extension: str) -> Consultant | None:
        return self._server.roster.get(extension)

    async def now(self) -> float:
        try:
            return float(await self.call(self._server.clock))
        except DistributorUnavailable:
            return self._server.clock()

    @asynccontextmanager
    async def place(
        self,
        call_id: str,
        language: str,
        *,
        arrived: float,
        urgent: bool = False,
        target: TransferTarget = ANY_CONSULTANT,
        preferred: str | None = None,
    ) -> AsyncIterator["SimulatedPlace"]:
        place = SimulatedPlace(self, self._server, call_id, self._controller, arrived)
        try:
            yield place
        finally:
            await asyncio.shield(place.leave())

    @asynccontextmanager
    async def adopt(
        self, consultant: Consultant, live_controllers: Iterable[str], call_id: str
    ) -> AsyncIterator["SimulatedPlace"]:
        living = set(live_controllers)
        with suppress(DistributorUnavailable):
            call_id = await self.call(
                lambda: self._server.adopt(consultant.extension, self._controller, call_id, living)
            )
        place = SimulatedPlace(self, self._server, call_id, self._controller, 0.0)
        try:
            yield place
        finally:
            await asyncio.shield(place.leave())


class SimulatedPlace:
    """A call's place in the queue (`calls.ports.QueuePlace`)."""

    def __init__(
        self,
        distributor: SimulatedDistributor,
        server: Distribution,
        call_id: str,
        controller: str,
        arrived: float,
    ) -> None:
        self.call_id = call_id
        self._distributor = distributor
        self._server = server
        self._controller = controller
        self._arrived = arrived

    async def wait_for_offer(self, timeout: float) -> Consultant | None:
        loop = asyncio.get_running_loop()
        ends = loop.time() + timeout
        while loop.time() < ends:
            extension = await self._distributor.call(
                lambda: self._server.wait(self.call_id, self._controller, self._arrived)
            )
            if extension is not None:
                return self._server.roster[extension]
            await asyncio.sleep(OFFER_POLL)
        return None

    def mark_ringing(self) -> None:
        pass

    def mark_answered(self) -> None:
        pass

    async def release(self, *, unanswered: bool) -> None:
        await self._distributor.call(
            lambda: self._server.release(self.call_id, self._controller, rests=unanswered)
        )

    async def leave(self) -> None:
        with suppress(DistributorUnavailable):
            await self._distributor.call(lambda: self._server.leave(self.call_id, self._controller))


class QuietQueue:
    """Positions in the queue, and alerts (`calls.ports.QueueMonitor`)."""

    def __init__(self, on_not_restored: Callable[[str], None]) -> None:
        """`on_not_restored` gets the id of each call that was left to the fallback."""
        self._on_not_restored = on_not_restored

    async def position_of(self, call_id: str, language: str) -> SimpleNamespace:
        return SimpleNamespace(position=1, expected_wait=None, speakers=1, other_languages=())

    async def alert_nobody_signed_in(self, call_id: str, language: str) -> None: ...

    async def alert_urgent_waiting(self, call_id: str, language: str) -> None: ...

    async def alert_not_recorded(self, call_id: str, language: str) -> None: ...

    async def alert_recording_restored(self, call_id: str, language: str) -> None: ...

    async def alert_number_not_sealed(self, call_id: str, why: str) -> None: ...

    async def alert_call_not_restored(self, call_id: str) -> None:
        self._on_not_restored(call_id)


@dataclass(frozen=True, slots=True)
class RunningRecording:
    """What the switch writes to a file: since when, and who had it begin."""

    channel: str  #: the name of the channel
    starter: SimulatedProcess
    begun_at: float


class Recordings:
    """All that the switch records, in place of MixMonitor; it begins and ends at once."""

    def __init__(self, on_second: Callable[[RunningRecording, SimulatedProcess], None]) -> None:
        """`on_second` gets the first when another recording of its channel begins, and by whom."""
        self._on_second = on_second
        self._running: dict[Path, RunningRecording] = {}

    async def start(self, channel: str, file: Path) -> None:
        """As `MixMonitorRecorder` does."""
        process = running_process()
        for first in self._running.values():
            if first.channel == channel:
                self._on_second(first, process)
        self._running[file] = RunningRecording(channel, process, process.host.loop.now)

    async def stop(self, channel: str, file: Path, *, gone: bool) -> bool:
        self._running.pop(file, None)
        return False


# Database


@dataclass
class StoredAppeal:
    """An appeal with what its call left; `closings` are all outcomes that were written."""

    id: uuid.UUID
    call_id: str
    received_at: datetime
    language: str | None = None
    consultant_id: uuid.UUID | None = None
    urgent: tuple[str, ...] = ()
    events: dict[int, EventRow] = field(default_factory=dict)
    outcome: str | None = None
    closings: list[str] = field(default_factory=list)


class Database:
    """Appeals and events of calls, in place of PostgreSQL."""

    def __init__(self, network: Network) -> None:
        self.appeals: dict[uuid.UUID, StoredAppeal] = {}
        self.refused: list[Entry] = []  #: of appeals that were not opened
        self._network = network
        self._opened: set[str] = set()  # calls
        #: Appeals of calls that had another: what one that was frozen still writes of them.
        self._second: set[uuid.UUID] = set()

    async def write(self, entries: Sequence[Entry]) -> None:
        """In place of `JournalWriter.write`."""
        written = list(entries)
        await self._network.call("database", lambda: self._apply(written))

    @property
    def has_open(self) -> bool:
        """Whether an appeal has no outcome."""
        return any(each.outcome is None for each in self.appeals.values())

    async def close(self) -> None:
        """As the journal's writer closes its connection."""

    def _apply(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if isinstance(entry, CallOpened):
                if entry.call_id in self._opened:
                    self._second.add(entry.appeal_id)
                else:
                    self._opened.add(entry.call_id)
                    opened = StoredAppeal(entry.appeal_id, entry.call_id, entry.at)
                    self.appeals[entry.appeal_id] = opened
                continue
            appeal = self.appeals.get(entry.appeal_id)
            if appeal is None:
                if entry.appeal_id not in self._second:
                    self.refused.append(entry)
                continue
            self._write_to(appeal, entry)

    def _write_to(self, appeal: StoredAppeal, entry: Entry) -> None:
        match entry:
            case EventRecorded(appeal_id, seq, moment, at, detail):
                appeal.events.setdefault(seq, EventRow(appeal_id, seq, at, moment, detail))
            case LanguageChosen(_, language):
                appeal.language = language
            case ConsultantAssigned(_, consultant_id):
                appeal.consultant_id = consultant_id
            case BecameUrgent(_, urgencies):
                appeal.urgent = tuple(each.value for each in urgencies)
            case CallClosed(_, outcome, _):
                self._close(appeal, outcome.value)

    def _close(self, appeal: StoredAppeal, outcome: str) -> bool:
        appeal.closings.append(outcome)
        if appeal.outcome is not None:
            return False
        appeal.outcome = outcome
        return True

    # In place of the stores that `lost_call_recovery` and `takeover` import

    @asynccontextmanager
    async def unit_of_work(self, _engine: object) -> AsyncIterator["Database"]:
        """Raises DependencyUnavailable as the real one does."""
        try:
            async with asyncio.timeout(CONNECT_LIMIT):
                await self._network.call("database", lambda: None)
        except TimeoutError:
            raise DependencyUnavailable("the database does not answer") from None
        yield self

    async def live(self, _connection: object) -> list[LiveAppeal]:
        return [
            LiveAppeal(each.id, each.call_id, each.received_at)
            for each in self.appeals.values()
            if each.outcome is None
        ]

    async def find_by_id(self, _connection: object, appeal_id: uuid.UUID) -> SimpleNamespace | None:
        appeal = self.appeals.get(appeal_id)
        if appeal is None:
            return None
        return SimpleNamespace(
            language=appeal.language, urgent=appeal.urgent, consultant_id=appeal.consultant_id
        )

    async def events(self, _connection: object, appeal_id: uuid.UUID) -> list[EventRow]:
        return [row for _, row in sorted(self.appeals[appeal_id].events.items())]

    async def add_events(self, _connection: object, events: Sequence[EventRow]) -> None:
        for each in events:
            self.appeals[each.appeal_id].events.setdefault(each.seq, each)

    async def close_appeal(
        self, _connection: object, *, appeal_id: uuid.UUID, outcome: str, ended_at: datetime
    ) -> bool:
        return self._close(self.appeals[appeal_id], str(outcome))


async def nothing(*_: object, **__: object) -> list[Any]:
    """In place of stores of which the simulation has no rows."""
    return []
