"""What the processes tell whoever watches them: read when it is asked for, so calls pay nothing."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping

from prometheus_client.core import Metric
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.consultants.alarms import Alarm
from callcenter.errors import WeFailed
from callcenter.line.backlog import set_aside, waiting
from callcenter.line.call import Call
from callcenter.line.journal import Journal
from callcenter.line.outcomes import Outcome
from callcenter.recordings.spool import used
from callcenter.settings import Settings
from callcenter.storage.engine import unit_of_work
from callcenter.up.observed import counter, gauge

LIMIT = 2.0  # seconds for a server to answer
#: Where a call is, by what it would come to should the caller leave now.
STAGES = {
    Outcome.LEFT_IN_GREETING: "greeting",
    Outcome.LEFT_IN_MENU: "menu",
    Outcome.LEFT_WAITING: "waiting",
    Outcome.LEFT_RINGING: "ringing",
    Outcome.TALKED: "talking",
    Outcome.REDIRECTED: "redirected",
}
WAITING = (Outcome.LEFT_WAITING, Outcome.LEFT_RINGING)
_COUNTS = {
    "recordings": "SELECT state, count(*) FROM recording"
    " WHERE state IN ('recording', 'closed') GROUP BY state",
    "jobs": "SELECT status::text, count(*) FROM procrastinate_jobs GROUP BY status",
    "promises": "SELECT kind, count(*) FROM promise WHERE state = 'open' GROUP BY kind",
}


def _longest_wait(calls: Iterable[Call]) -> float:
    """Seconds; 0 when nobody waits."""
    since = [c.waits_since for c in calls if c.if_left in WAITING and c.waits_since is not None]
    return max(0.0, time.time() - min(since)) if since else 0.0


class LineFigures:
    """Of one controller. `switch` says of ARI and AMI whether they are connected.

    `offers` are those so far, `unheard` the seconds since the switch was heard; `takes_calls`:
    whether it stays, and is sure that its calls are its own.
    """

    def __init__(
        self,
        calls: Iterable[Call],
        journal: Journal,
        switch: Mapping[str, asyncio.Event],
        *,
        offers: Callable[[], int],
        unheard: Callable[[], float],
        takes_calls: Callable[[], bool],
        watchdogs: Callable[[], Collection[str]],
    ) -> None:
        self._offers = offers
        self._unheard = unheard
        self._takes_calls = takes_calls
        self._calls = calls
        self._journal = journal
        self._switch = switch
        self._watchdogs = watchdogs

    async def figures(self) -> list[Metric]:
        """Calls by stage, and what of them is not in the database yet."""
        calls = list(self._calls)
        stages = Counter(STAGES.get(call.if_left, "other") for call in calls)
        every = dict.fromkeys((*STAGES.values(), "other"), 0.0) | dict(stages)
        connected = {name: float(event.is_set()) for name, event in self._switch.items()}
        return [
            gauge("calls", "Calls of this controller now.", every, "stage"),
            gauge("longest_wait_seconds", "Of those who wait now.", _longest_wait(calls)),
            gauge(
                "longest_urgent_wait_seconds",
                "Of those who wait now in danger, or cannot speak.",
                _longest_wait(call for call in calls if call.urgencies),
            ),
            counter("offers", "Of consultants to callers.", self._offers()),
            gauge("events_behind_seconds", "Since the switch was heard.", self._unheard()),
            gauge("journal_entries", "Not in the database yet.", self._journal.depth),
            gauge("journal_disk_bytes", "On disk, being late.", self._journal.on_disk),
            gauge("switch_connected", "Whether the switch is there.", connected, "by"),
            gauge("watchdogs", "That live, as this controller hears.", len(self._watchdogs())),
        ]

    async def needs(self) -> Mapping[str, bool]:
        """Calls are served without the database and, by the fallback, without Redis.

        A connection that is there may be half open, or tell nothing: hence `calls`.
        """
        connected = {name: event.is_set() for name, event in self._switch.items()}
        return {**connected, "calls": self._takes_calls()}


class WebFigures:
    """Of the pages: how requests were answered, by the first digit of the status."""

    def __init__(self, answers: Mapping[str, int], needs: Callable[[], Awaitable[bool]]) -> None:
        """`needs` says whether the database can be used."""
        self._answers = answers
        self._needs = needs

    async def figures(self) -> list[Metric]:
        every = {f"{digit}xx": float(self._answers.get(f"{digit}xx", 0)) for digit in range(2, 6)}
        return [counter("web_answers", "Requests that were answered.", every, "status")]

    async def needs(self) -> Mapping[str, bool]:
        return {"postgresql": await self._needs()}


class WorkerFigures:
    """Of the machine and the servers, told by the worker."""

    def __init__(self, settings: Settings, engine: AsyncEngine, redis: Redis) -> None:
        self._settings = settings
        self._engine = engine
        self._redis = redis

    async def figures(self) -> list[Metric]:
        """What cannot be read is left out: absence is what an alarm looks for then."""
        counts = await self._counts() or {}
        desk = await self._desk() or {}
        disks = await asyncio.to_thread(self._disks)
        there = await self.needs()
        return [
            *(gauge(name, f"Unfinished {name}.", of, "state") for name, of in counts.items()),
            *(gauge(f"desk_{name}", f"At the desk: {name}.", of) for name, of in desk.items()),
            *await self._alarms(),
            gauge("disk_used_ratio", "Of what we may use, by folder.", disks, "folder"),
            gauge("journals_waiting", "Files.", len(waiting(self._settings.journals))),
            gauge("journals_set_aside", "Files.", len(set_aside(self._settings.journals))),
            gauge("up", "Whether it answers.", {n: float(v) for n, v in there.items()}, "server"),
        ]

    async def needs(self) -> Mapping[str, bool]:
        """PostgreSQL for everything; Redis for the history of consultants."""
        counts, desk = await asyncio.gather(self._counts(), self._desk())
        return {"postgresql": counts is not None, "redis": desk is not None}

    async def _counts(self) -> dict[str, dict[str, float]] | None:
        try:
            async with asyncio.timeout(LIMIT), unit_of_work(self._engine) as connection:
                return {
                    name: {
                        str(state): float(count)
                        for state, count in await connection.execute(text(query))
                    }
                    for name, query in _COUNTS.items()
                }
        except (WeFailed, SQLAlchemyError, OSError, TimeoutError):
            return None

    async def _desk(self) -> dict[str, float] | None:
        try:
            async with asyncio.timeout(LIMIT):
                return {
                    "waiting": await self._redis.zcard("desk:waiting"),
                    "idle": await self._redis.zcard("desk:idle"),
                }
        except (RedisError, OSError, TimeoutError):
            return None

    async def _alarms(self) -> list[Metric]:
        """Also those of which there was none, or the first one would be no increase."""
        try:
            async with asyncio.timeout(LIMIT):
                counts = await self._redis.hgetall("desk:alarm_counts")
        except (RedisError, OSError, TimeoutError):
            return []
        every = {str(kind): float(counts.get(kind, 0)) for kind in Alarm}
        return [counter("alarms", "Of supervisors.", every, "kind")]

    def _disks(self) -> dict[str, float]:
        settings = self._settings
        folders = (settings.spool, settings.journals, settings.recordings)
        return {folder.name: used(folder).share for folder in folders}
