"""Event loop in virtual time, in which simulated processes get the processor one by one.

Time stands still while anything is ready, and jumps to the next timer when nothing is. What a
callback belongs to is in its context: `PROCESS`. Callbacks of a process wait in its inbox until
the host gives it the processor (`tests.simulation.host`); all others run at once.

Tasks and futures are hashed by their serial number, not by their address: sets of them, which
asyncio and the product iterate, have the same order in each run.
"""

import asyncio
import heapq
import itertools
from asyncio import _set_running_loop
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from typing import Any, Protocol, TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

STALL_LIMIT = 200_000  # callbacks at one moment: something spins


class Owner(Protocol):
    """A simulated process, as the loop sees it."""

    def enqueue(self, entry: "Entry") -> None:
        """Take a callback that is ready: it runs when the process has the processor."""

    def turn(self) -> None:
        """Run what is in the inbox: one turn of the event loop of this process."""


#: The process that a callback belongs to; None: the outside world.
PROCESS: ContextVar[Owner | None] = ContextVar("PROCESS", default=None)


class Entry:
    """A callback that is ready or scheduled."""

    __slots__ = ("args", "callback", "context", "handle", "owner")

    def __init__(
        self,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: Context,
        handle: asyncio.Handle,
    ) -> None:
        self.callback = callback
        self.args = args
        self.context = context
        self.handle = handle
        self.owner = context.get(PROCESS)


class NumberedTask(asyncio.Task[T]):
    """A task that knows its process; ordered in sets by when it was made."""

    def __init__(
        self, number: int, coro: Coroutine[Any, Any, T], loop: "VirtualLoop", context: Context
    ) -> None:
        self.number = number
        self.owner = context.get(PROCESS)
        super().__init__(coro, loop=loop, name=f"task-{number}", context=context)

    def __hash__(self) -> int:
        return self.number


class NumberedFuture(asyncio.Future[T]):
    """A future ordered in sets by when it was made."""

    def __init__(self, number: int, loop: "VirtualLoop") -> None:
        self.number = number
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self.number


class Stalled(Exception):
    """Callbacks follow each other for ever at one moment."""


class VirtualLoop(asyncio.BaseEventLoop):
    """The loop of one simulated world. Everything runs in the calling thread."""

    def __init__(self, start: float = 1000.0) -> None:
        """`start` is the moment at which the clock begins, in seconds."""
        super().__init__()
        self.now = start
        self.outside = copy_context()  #: the context of what belongs to no process
        self.outside.run(PROCESS.set, None)
        self.graveyard: list[asyncio.Task[Any]] = []  #: of dead processes: they never go on
        self.is_over = False
        self._numbers = itertools.count(1)
        self._timers: list[tuple[float, int, Entry]] = []
        self._due: deque[Entry] = deque()
        self._runnable: deque[Owner] = deque()

    def time(self) -> float:
        return self.now

    # What asyncio asks of a loop

    def call_soon(
        self,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        context = copy_context() if context is None else context
        handle = asyncio.Handle(callback, args, self, context)
        self._admit(Entry(callback, args, context, handle))
        return handle

    call_soon_threadsafe = call_soon

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        context = copy_context() if context is None else context
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        entry = Entry(callback, args, context, timer)
        heapq.heappush(self._timers, (when, next(self._numbers), entry))
        return timer

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self.now + delay, callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        return NumberedFuture(next(self._numbers), self)

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: object = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        assert isinstance(coro, Coroutine)
        context = copy_context() if context is None else context
        return NumberedTask(next(self._numbers), coro, self, context)

    def run_in_executor(
        self, executor: object, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Run it at once: there are no threads here."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as exc:
            future.set_exception(exc)
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self.is_over:  # what is left of the dead says that it was destroyed
            super().call_exception_handler(context)

    # Running

    def outside_at(self, when: float, callback: Callable[..., object], *args: Any) -> None:
        """Call something of the outside world at this moment."""
        self.call_at(when, callback, *args, context=self.outside)

    def outside_after(self, delay: float, callback: Callable[..., object], *args: Any) -> None:
        """Call something of the outside world after so many seconds."""
        self.call_at(self.now + delay, callback, *args, context=self.outside)

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin a task of the outside world."""
        return self.create_task(work, context=self.outside.copy())

    def make_runnable(self, owner: Owner) -> None:
        """Give this process the processor as soon as those before it have had it."""
        self._runnable.append(owner)

    def bury(self, owner: Owner) -> None:
        """End all tasks of a process as SIGKILL does: nothing of them runs any more."""
        tasks = [each for each in asyncio.all_tasks(self) if isinstance(each, NumberedTask)]
        dead = {each.number: each for each in tasks if each.owner is owner}
        self.graveyard += [dead[number] for number in sorted(dead)]

    def run_until(self, end: float) -> None:
        """Run until the clock shows `end`. Raises whatever the outside world raises."""
        with self.is_running_now():
            while True:
                self._run_ready()
                if not self._timers or self._timers[0][0] > end:
                    break
                self.now = max(self.now, self._timers[0][0])
                while self._timers and self._timers[0][0] <= self.now:
                    self._admit(heapq.heappop(self._timers)[2])
            self.now = max(self.now, end)

    @contextmanager
    def is_running_now(self) -> Iterator[None]:
        """Within the block what is begun belongs to this loop."""
        _set_running_loop(self)
        try:
            yield
        finally:
            _set_running_loop(None)

    def discard(self) -> None:
        """Forget all that is ready or scheduled."""
        self._timers.clear()
        self._due.clear()
        self._runnable.clear()

    def execute(self, entry: Entry) -> None:
        """Run a callback, unless it was cancelled."""
        if entry.handle.cancelled():
            return
        try:
            entry.context.run(entry.callback, *entry.args)
        except Exception as exc:
            if entry.owner is None:
                raise
            self.call_exception_handler({"message": "callback failed", "exception": exc})

    def _admit(self, entry: Entry) -> None:
        if entry.handle.cancelled():
            return
        if entry.owner is None:
            self._due.append(entry)
        else:
            entry.owner.enqueue(entry)

    def _run_ready(self) -> None:
        count = 0
        while self._due or self._runnable:
            for _ in range(len(self._due)):
                self.execute(self._due.popleft())
            for _ in range(len(self._runnable)):
                self._runnable.popleft().turn()
            count += 1
            if count > STALL_LIMIT:
                raise Stalled(f"at {self.now:.3f}")


async def within(work: Awaitable[T]) -> T:
    """Await anything awaitable as a coroutine."""
    return await work
