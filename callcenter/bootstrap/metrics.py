"""Metrics and readiness of each process, computed at each scrape: calls pay nothing."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping

from prometheus_client.core import Metric
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import Executable, func, literal_column, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.registry import offers
from callcenter.platform.core.settings import Settings
from callcenter.platform.monitoring.alerts import AlertKind
from callcenter.platform.monitoring.metrics_server import counter, gauge
from callcenter.platform.storage.engine import unit_of_work
from callcenter.recordings.sealing.spool import disk_usage
from callcenter.recordings.tables import recording
from callcenter.telephony.acd.distributor import RedisCallDistributor
from callcenter.telephony.asterisk.ami import Ami
from callcenter.telephony.asterisk.node import AsteriskNode
from callcenter.telephony.asterisk.open_files import OpenFiles, open_files_of_asterisk
from callcenter.telephony.callbacks.tables import promise
from callcenter.telephony.calls.call import Call
from callcenter.telephony.calls.journal.journal import Journal
from callcenter.telephony.calls.journal.spool import pending_spools, quarantined_files
from callcenter.telephony.calls.outcomes import Outcome
from callcenter.telephony.reconciliation.tables import refused_call

SERVER_TIMEOUT = 2.0  # seconds for a server to answer
#: The stage of a call, by its outcome should the caller leave now.
STAGES = {
    Outcome.LEFT_IN_GREETING: "greeting",
    Outcome.LEFT_IN_MENU: "menu",
    Outcome.LEFT_WAITING: "waiting",
    Outcome.LEFT_RINGING: "ringing",
    Outcome.TALKED: "talking",
    Outcome.REDIRECTED: "redirected",
}
WAITING = (Outcome.LEFT_WAITING, Outcome.LEFT_RINGING)
# No parameters: a plan made for any state could not use the index of these.
_COUNTS: dict[str, Executable] = {
    "recordings": select(recording.c.state, func.count())
    .where(recording.c.state.in_([literal_column("'recording'"), literal_column("'closed'")]))
    .group_by(recording.c.state),
    "jobs": text("SELECT status::text, count(*) FROM procrastinate_jobs GROUP BY status"),
    "promises": select(promise.c.kind, func.count())
    .where(promise.c.state == literal_column("'open'"))
    .group_by(promise.c.kind),
}
_REFUSED = select(refused_call.c.trunk, func.sum(refused_call.c.calls)).group_by(
    refused_call.c.trunk
)


def _longest_wait(calls: Iterable[Call]) -> float:
    """The longest wait in seconds; 0 when nobody waits."""
    since = [c.waits_since for c in calls if c.if_left in WAITING and c.waits_since is not None]
    return max(0.0, time.time() - min(since)) if since else 0.0


def _switch_files(files: OpenFiles | None) -> list[Metric]:
    """Open files of Asterisk, from those processes to which the kernel shows them."""
    if files is None:
        return []
    return [
        gauge("switch_open_files", "Of Asterisk.", files.count),
        gauge("switch_open_files_limit", "Of Asterisk: then it refuses calls.", files.limit),
    ]


def _servers(counts: object, queue: object) -> dict[str, bool]:
    """Which servers answer, by what was read of them; None: nothing."""
    return {"postgresql": counts is not None, "redis": queue is not None}


class ControllerMetrics:
    """Metrics of one controller."""

    def __init__(
        self,
        settings: Settings,
        calls: Iterable[Call],
        journal: Journal,
        node: AsteriskNode,
        ami: Ami,
        distributor: RedisCallDistributor,
    ) -> None:
        self._settings = settings
        self._calls = calls
        self._journal = journal
        self._node = node
        self._distributor = distributor
        self._connected = {"ari": node.ari.connected, "ami": ami.connected}

    async def figures(self) -> list[Metric]:
        """Calls by stage, and what of them is not in the database yet."""
        calls = list(self._calls)
        watchdogs = self._node.membership.watching
        behind = self._node.membership.seconds_since_heard
        stages = Counter(STAGES.get(call.if_left, "other") for call in calls)
        every = dict.fromkeys((*STAGES.values(), "other"), 0.0) | dict(stages)
        connected = {name: float(event.is_set()) for name, event in self._connected.items()}
        files = await asyncio.to_thread(open_files_of_asterisk, self._settings)
        return [
            gauge("calls", "Calls of this controller now.", every, "stage"),
            gauge("longest_wait_seconds", "Of those who wait now.", _longest_wait(calls)),
            gauge(
                "longest_urgent_wait_seconds",
                "Of those who wait now in danger, or cannot speak.",
                _longest_wait(call for call in calls if call.urgencies),
            ),
            counter("offers", "Of consultants to callers.", self._distributor.offers),
            gauge("events_behind_seconds", "Since the switch was heard.", behind),
            gauge("journal_entries", "Not in the database yet.", self._journal.depth),
            gauge("journal_disk_bytes", "On disk, being late.", self._journal.on_disk),
            gauge("switch_connected", "Whether the switch is there.", connected, "by"),
            gauge(
                "watchdogs",
                "That live, as this controller hears.",
                len(watchdogs),
            ),
            *_switch_files(files),
        ]

    async def needs(self) -> Mapping[str, bool]:
        """Calls are served without the database and, by the fallback, without Redis.

        A connection that is there may be half open, or tell nothing: hence `calls`.
        """
        connected = {name: event.is_set() for name, event in self._connected.items()}
        return {**connected, "calls": self._node.accepts_calls()}


class WebMetrics:
    """Metrics of the pages: answers by the first digit of the HTTP status."""

    def __init__(self, answers: Mapping[str, int], needs: Callable[[], Awaitable[bool]]) -> None:
        """`needs` says whether the database can be used."""
        self._answers = answers
        self._needs = needs

    async def figures(self) -> list[Metric]:
        every = {f"{digit}xx": float(self._answers.get(f"{digit}xx", 0)) for digit in range(2, 6)}
        return [counter("web_answers", "Requests that were answered.", every, "status")]

    async def needs(self) -> Mapping[str, bool]:
        return {"postgresql": await self._needs()}


class WorkerMetrics:
    """Metrics of the machine and the servers, from the worker."""

    def __init__(self, settings: Settings, engine: AsyncEngine, redis: Redis) -> None:
        self._settings = settings
        self._engine = engine
        self._redis = redis

    async def figures(self) -> list[Metric]:
        """All that can be read; the rest is left out, and its absence raises an alert."""
        counts, refused, queue, alerts = await asyncio.gather(
            self._counts(_COUNTS),
            self._counts({"refused_calls": _REFUSED}),
            self._queue(),
            self._alerts(),
        )
        disks = await asyncio.to_thread(self._disks)
        files = await asyncio.to_thread(open_files_of_asterisk, self._settings)
        there = _servers(counts, queue)
        return [
            *(
                gauge(name, f"Unfinished {name}.", of, "state")
                for name, of in (counts or {}).items()
            ),
            *(
                counter(name, "By the switch, without a channel.", of, "trunk")
                for name, of in (refused or {}).items()
            ),
            *(
                gauge(f"desk_{name}", f"In the distributor: {name}.", of)
                for name, of in (queue or {}).items()
            ),
            *alerts,
            *_switch_files(files),
            gauge("disk_used_ratio", "Of what we may use, by folder.", disks, "folder"),
            gauge("journals_waiting", "Files.", len(pending_spools(self._settings.journals))),
            gauge("journals_set_aside", "Files.", len(quarantined_files(self._settings.journals))),
            gauge("up", "Whether it answers.", {n: float(v) for n, v in there.items()}, "server"),
        ]

    async def needs(self) -> Mapping[str, bool]:
        """PostgreSQL for everything; Redis for the history of consultants."""
        return _servers(*await asyncio.gather(self._counts(_COUNTS), self._queue()))

    async def _counts(
        self, queries: Mapping[str, Executable]
    ) -> dict[str, dict[str, float]] | None:
        try:
            async with asyncio.timeout(SERVER_TIMEOUT), unit_of_work(self._engine) as connection:
                return {
                    name: {
                        str(state): float(count) for state, count in await connection.execute(query)
                    }
                    for name, query in queries.items()
                }
        except (OperationFailed, SQLAlchemyError, OSError, TimeoutError):
            return None

    async def _queue(self) -> dict[str, float] | None:
        try:
            async with asyncio.timeout(SERVER_TIMEOUT):
                return {
                    "waiting": await self._redis.zcard("desk:waiting"),
                    "idle": await self._redis.zcard("desk:idle"),
                }
        except (RedisError, OSError, TimeoutError):
            return None

    async def _alerts(self) -> list[Metric]:
        """Counters of all kinds, also at 0, or the first alert would be no increase."""
        try:
            async with asyncio.timeout(SERVER_TIMEOUT):
                counts = await self._redis.hgetall("desk:alarm_counts")
        except (RedisError, OSError, TimeoutError):
            return []
        every = {kind.key: float(counts.get(kind.key, 0)) for kind in offers(AlertKind)}
        return [counter("alarms", "Of supervisors.", every, "kind")]

    def _disks(self) -> dict[str, float]:
        settings = self._settings
        folders = (settings.spool, settings.journals, settings.recordings)
        return {folder.name: disk_usage(folder).share for folder in folders}
