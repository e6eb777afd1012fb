"""Live feed of the wallboard: one reader a process, shared by all its listeners.

It polls, and reads the ACD at once when a consultant's presence changes: who is rung sees it.
Listeners hear of every reading while anybody waits or talks; else of what changes, and now and then
that nothing did: pages that are open cost next to nothing.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Generic, TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.consultants.presence import LAST_CHANGE, PresenceService
from callcenter.platform.core.beats import next_beat
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import unit_of_work
from callcenter.wallboard.call_board import CallBoard, build_call_board
from callcenter.wallboard.rules import DistributorSnapshot, Figures, History, TodayNow, figures
from callcenter.wallboard.store import count_waiting, read_distributor, read_today

T = TypeVar("T")

ACD_INTERVAL = 0.5  # seconds between two readings of the ACD, while anybody listens
UNWATCHED_INTERVAL = 2.0  # seconds between two else: of what waited there are bars of ten seconds
CHANGES_INTERVAL = 0.02  # seconds after a change: those that come together are read together
RETRY_INTERVAL = 1.0  # seconds after a fault
TODAY_INTERVAL = 0.8  # seconds between two readings of today's calls, while anybody listens
WAIT_TIMEOUT = 1.0  # seconds for which a listener waits for a reading
STALE_AFTER = 2.0  # seconds after which a value counts as unknown
READ_TIMEOUT = 10.0  # seconds after which a reading is cancelled
QUIET_INTERVAL = 1.5  # seconds without news, where nobody waits or talks and nothing changes
#: Seconds after which a listener has to reconnect, and is authorised again; a session that ends
#: ends its streams at once. A page reconnects before that (`RENEW` of live.js).
STREAM_LIMIT = 240.0

log = logging.getLogger(__name__)


class PolledSource(Generic[T]):
    """A source that is polled, one reading at a time, and may be unavailable."""

    def __init__(self, name: str, read: Callable[[], Awaitable[T]], fresh: float) -> None:
        """A value is not read anew for `fresh` seconds."""
        self._name = name
        self._read = read
        self._fresh = fresh
        self._value: T | None = None
        self._at = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    @property
    def value(self) -> T | None:
        """The value read last; None: unknown, or older than two seconds."""
        return self._value if time.monotonic() - self._at < STALE_AFTER else None

    async def poll(self, *, anew: bool = False) -> T | None:
        """The value, read `anew` or unless it is fresh; returns within two seconds.

        Never raises when the source is unavailable: that is logged, once.
        """
        if anew and self._reading is not None:  # one in progress may be of before
            await asyncio.wait((self._reading,), timeout=WAIT_TIMEOUT)
        if anew or time.monotonic() - self._at >= self._fresh:
            if self._reading is None or self._reading.done():
                self._reading = asyncio.create_task(self._read_once())
            # A reading that hangs goes on alone: its end may take longer than anybody waits.
            await asyncio.wait((self._reading,), timeout=WAIT_TIMEOUT)
        return self.value

    async def close(self) -> None:
        """Cancel a reading in progress."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait((self._reading,))

    async def _read_once(self) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(READ_TIMEOUT):
                value: T | None = await self._read()
        except Exception as exc:  # whatever it was: the figures are unknown, and the feed goes on
            if self._value is not None or self._at == float("-inf"):
                log.error("live figures unavailable, source %s: %s", self._name, type(exc).__name__)
            value = None
        self._value, self._at = value, began


class LiveSnapshot:
    """Figures of one moment, rendered once for all listeners of one format."""

    def __init__(
        self,
        figures: Figures,
        board: CallBoard | None = None,
        acd: DistributorSnapshot | None = None,
        today: TodayNow | None = None,
    ) -> None:
        self.figures = figures
        self.board = board
        self.acd = acd
        self.today = today
        self._rendered: dict[str, str] = {}

    @property
    def holders(self) -> Mapping[str, str]:
        """The calls of consultants, by extension."""
        return self.acd.holders if self.acd else {}

    def wrap_up_of(self, extension: str) -> tuple[float, float] | None:
        """The end of a consultant's wrap-up in epoch seconds, and the seconds until then."""
        ends = self.acd.wrap_ups.get(extension) if self.acd else None
        return None if self.acd is None or ends is None else (ends, max(0.0, ends - self.acd.at))

    def render(self, name: str, make: Callable[["LiveSnapshot"], str]) -> str:
        """The figures in the format of this name, cached."""
        if name not in self._rendered:
            self._rendered[name] = make(self)
        return self._rendered[name]


class LiveFeed:
    """The live figures of this process: `now` at any time, `listen` while it is `running`."""

    def __init__(self, engine: AsyncEngine, redis: Redis, settings: Settings) -> None:
        """Opens nothing; the caller closes engine and client after this."""
        presence = PresenceService(redis, settings)

        async def read_calls() -> TodayNow:
            async with unit_of_work(engine) as connection:
                return await read_today(connection, datetime.now(UTC), settings.answer_goal)

        self.acd_source: PolledSource[DistributorSnapshot] = PolledSource(
            "ACD", lambda: read_distributor(redis, presence), 0.4
        )
        self.waiting_source: PolledSource[int] = PolledSource(
            "waiting", lambda: count_waiting(redis), 0.4
        )
        self.today_source: PolledSource[TodayNow] = PolledSource("today", read_calls, 0.7)
        self._history = History()
        self._answer_goal = settings.service_level_seconds
        self._running = False
        self._listeners = 0
        self._has_listeners = asyncio.Event()
        self._presence = presence
        self._has_changed = asyncio.Event()  #: the presence of somebody
        self._latest = LiveSnapshot(figures(0, None, None, (), self._answer_goal))
        self._published = asyncio.Event()
        self._published_at = float("-inf")

    async def now(self) -> Figures:
        """The figures, none older than a second; returns within a second in any case."""
        return (await self.poll()).figures

    async def poll(self) -> LiveSnapshot:
        """Poll what `now` reads, with the call board."""
        await asyncio.gather(self.acd_source.poll(), self.today_source.poll())
        return self._snapshot()

    async def listen(self) -> AsyncGenerator[LiveSnapshot, None]:
        """The figures now, then whenever they were read anew; a slow listener skips some.

        While nobody waits or talks only when something changed, else every 1.5 to 2 seconds. Ends
        after four minutes (later while the database is unavailable, for nobody could reconnect),
        with `end`, and at once when the feed does not run.
        """
        began = time.monotonic()
        self._listeners += 1
        self._has_listeners.set()
        try:
            published = self._published
            yield await self.poll()
            while self._running:
                await published.wait()
                if time.monotonic() - began > STREAM_LIMIT and self.today_source.value is not None:
                    return
                published = self._published
                yield self._latest
        finally:
            self._listeners -= 1
            if self._listeners == 0:
                self._has_listeners.clear()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Poll for as long as the block lasts; figures of an unavailable source are unknown."""
        self._running = True
        loops = (self._poll_acd(), self._poll_today(), self._watch_presence())
        tasks = [asyncio.create_task(each) for each in loops]
        try:
            yield
        finally:
            self.end()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.acd_source.close()
            await self.waiting_source.close()
            await self.today_source.close()

    def end(self) -> None:
        """End every stream; returns at once."""
        self._running = False
        self._published.set()

    async def _poll_acd(self) -> None:
        while True:
            if self._listeners:
                has_changed = self._has_changed.is_set()
                self._has_changed.clear()
                acd = await self.acd_source.poll(anew=has_changed)
                self._history.put(time.time(), None if acd is None else len(acd.waiting))
                self._publish()
            else:
                self._history.put(time.time(), await self.waiting_source.poll())
            await self._rest()

    async def _rest(self) -> None:
        """Return when the ACD is to be read anew; at once when the first listener comes."""
        if self._listeners:
            with suppress(TimeoutError):
                async with asyncio.timeout(ACD_INTERVAL):
                    await self._has_changed.wait()
                    await asyncio.sleep(CHANGES_INTERVAL)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout_at(next_beat(UNWATCHED_INTERVAL)):
                await self._has_listeners.wait()

    async def _watch_presence(self) -> None:
        """Have the ACD read at each change, while there are listeners."""
        last, is_watching = LAST_CHANGE, True
        while True:
            await self._has_listeners.wait()
            try:
                last, before = await self._presence.await_change(last), last
            except (RedisError, OSError, TimeoutError) as exc:
                if is_watching:
                    log.error("presence not watched, it is polled: %s", exc or "no answer")
                last, is_watching = LAST_CHANGE, False
                await asyncio.sleep(RETRY_INTERVAL)
                continue
            is_watching = True
            if last != before:
                self._has_changed.set()

    async def _poll_today(self) -> None:
        """Poll only while there are listeners: the query has a cost for the database."""
        while True:
            await self._has_listeners.wait()
            await self.today_source.poll()
            self._publish()
            await asyncio.sleep(TODAY_INTERVAL)

    def _publish(self) -> None:
        """Tell all listeners, unless nothing happens and they were told a moment ago."""
        now = time.monotonic()
        if now - self._published_at < QUIET_INTERVAL and self._is_quiet():
            return
        self._published_at, self._latest = now, self._snapshot()
        before, self._published = self._published, asyncio.Event()
        before.set()

    def _is_quiet(self) -> bool:
        """Whether nothing but the time differs from what was published last."""
        acd, today = self.acd_source.value, self.today_source.value
        if acd is None or acd.waiting or acd.holders:
            return False
        return (acd, today) == (self._latest.acd, self._latest.today)

    def _snapshot(self) -> LiveSnapshot:
        at, acd, today = time.time(), self.acd_source.value, self.today_source.value
        return LiveSnapshot(
            figures(at, acd, today, self._history.bars(at), self._answer_goal),
            build_call_board(acd, today),
            acd,
            today,
        )
