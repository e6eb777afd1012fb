"""One reader of live figures for a process, shared by everybody who looks at them."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Generic, TypeVar

from fastapi import Depends
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import Request

from callcenter.consultants.duty import DutyDesk
from callcenter.consultants.script import Rules
from callcenter.live.figures import DeskNow, Figures, History, TodayNow, figures
from callcenter.live.floor import Floor, floor
from callcenter.live.store import read_desk, read_today
from callcenter.storage.engine import unit_of_work

T = TypeVar("T")

DESK_EVERY = 0.5  # seconds between two readings of the desk, while the process watches
TODAY_EVERY = 0.8  # seconds between two readings of today's calls, while anybody listens
PATIENCE = 1.0  # seconds after which a reading that does not come is not waited for
STALE = 2.0  # seconds after which what was read counts as not known
LONGEST_READING = 10.0  # seconds after which a reading is given up
STREAM = 60.0  # seconds after which a listener has to come back, and to be permitted again

log = logging.getLogger(__name__)


class Source(Generic[T]):
    """Something that is read again and again, by one at a time, and may be away."""

    def __init__(self, name: str, read: Callable[[], Awaitable[T]], fresh: float) -> None:
        """What was read counts as good enough for `fresh` seconds."""
        self._name = name
        self._read = read
        self._fresh = fresh
        self._value: T | None = None
        self._at = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    @property
    def known(self) -> T | None:
        """What was read last, if that was less than two seconds ago; None: it is not known."""
        return self._value if time.monotonic() - self._at < STALE else None

    async def look(self) -> T | None:
        """What is known now, read anew unless it is fresh; returns within a second.

        Never raises for the sake of what is away: that is logged, once.
        """
        if time.monotonic() - self._at >= self._fresh:
            if self._reading is None or self._reading.done():
                self._reading = asyncio.create_task(self._once())
            # A reading that hangs goes on alone: its end may take longer than anybody waits.
            await asyncio.wait((self._reading,), timeout=PATIENCE)
        return self.known

    async def close(self) -> None:
        """End a reading that is under way."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait((self._reading,))

    async def _once(self) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(LONGEST_READING):
                value: T | None = await self._read()
        except Exception as exc:  # whatever it was: the figures are not known, and we go on
            if self._value is not None or self._at == float("-inf"):
                log.error("live figures of %s are not known: %s", self._name, type(exc).__name__)
            value = None
        self._value, self._at = value, began


class Reading:
    """Figures of one moment, and what they look like in the forms that listeners want."""

    def __init__(self, figures: Figures, floor: Floor | None = None) -> None:
        self.figures = figures
        self.floor = floor
        self._forms: dict[str, str] = {}

    def form(self, name: str, make: Callable[["Reading"], str]) -> str:
        """The figures in the form of this name: made once, for all who want it."""
        if name not in self._forms:
            self._forms[name] = make(self)
        return self._forms[name]


class Watch:
    """The live figures of this process: `now` at any time, `listen` while it is `running`."""

    def __init__(self, engine: AsyncEngine, redis: Redis, rules: Rules) -> None:
        """Opens nothing; engine and client are the caller's to close, after this."""
        duty = DutyDesk(redis, rules)

        async def today() -> TodayNow:
            async with unit_of_work(engine) as connection:
                return await read_today(connection, datetime.now(UTC))

        self._desk: Source[DeskNow] = Source("the desk", lambda: read_desk(redis, duty), 0.4)
        self._today: Source[TodayNow] = Source("today", today, 0.7)
        self._history = History()
        self._running = False
        self._listeners = 0
        self._listened = asyncio.Event()
        self._latest = Reading(figures(0, None, None, ()))
        self._published = asyncio.Event()

    async def now(self) -> Figures:
        """The figures, none older than a second; returns within a second, whatever is away."""
        return (await self.look()).figures

    async def look(self) -> Reading:
        """As `now`, with the floor."""
        await asyncio.gather(self._desk.look(), self._today.look())
        return self._reading()

    async def listen(self) -> AsyncGenerator[Reading, None]:
        """The figures now, then whenever they were read anew; somebody slow skips some.

        Ends after a minute (later while the database is away, for then nobody could come back),
        with `end`, and at once when the process does not watch.
        """
        began = time.monotonic()
        self._listeners += 1
        self._listened.set()
        try:
            published = self._published
            yield await self.look()
            while self._running:
                await published.wait()
                if time.monotonic() - began > STREAM and self._today.known is not None:
                    return
                published = self._published
                yield self._latest
        finally:
            self._listeners -= 1
            if self._listeners == 0:
                self._listened.clear()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watch for as long as the block lasts; what is away meanwhile is not known meanwhile."""
        self._running = True
        tasks = [asyncio.create_task(self._watch_desk()), asyncio.create_task(self._watch_today())]
        try:
            yield
        finally:
            self.end()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._desk.close()
            await self._today.close()

    def end(self) -> None:
        """Let every listener go; returns at once."""
        self._running = False
        self._published.set()

    async def _watch_desk(self) -> None:
        while True:
            desk = await self._desk.look()
            self._history.put(time.time(), None if desk is None else len(desk.waiting))
            self._publish()
            await asyncio.sleep(DESK_EVERY)

    async def _watch_today(self) -> None:
        """Only while somebody listens: this costs the database more than nothing."""
        while True:
            await self._listened.wait()
            await self._today.look()
            self._publish()
            await asyncio.sleep(TODAY_EVERY)

    def _publish(self) -> None:
        self._latest = self._reading()
        before, self._published = self._published, asyncio.Event()
        before.set()

    def _reading(self) -> Reading:
        at, desk, today = time.time(), self._desk.known, self._today.known
        return Reading(figures(at, desk, today, self._history.bars(at)), floor(desk, today))


def watch_of(request: Request) -> Watch:
    """The watch of the site that this request came to."""
    watch: Watch = request.app.state.watch
    return watch


CurrentWatch = Annotated[Watch, Depends(watch_of)]
