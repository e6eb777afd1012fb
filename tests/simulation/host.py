"""Host of the simulated processes: who gets the processor when, and what sentinels do.

A process has the processor for a turn of its loop, in which all that was ready at its beginning
runs. Until then it waits for as long as the host says: not at all on a quiet machine, for some
time in an episode of pressure. It may be stopped, hang, be frozen with its sentinel, or be killed.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, TypeVar

from callcenter.telephony.asterisk.cluster import sentinel_program
from callcenter.telephony.asterisk.cluster.member_files import MemberFlag, parse_record
from tests.seeds import SeededRandom
from tests.simulation.kernel import Kernel
from tests.simulation.loop import PROCESS, Entry, VirtualLoop

T = TypeVar("T")

TURN_COST = 0.002  # seconds for a callback, while others have most of the processor
START_TIME = 2.0  # seconds from the start of a process until its program runs


@dataclass(frozen=True, slots=True)
class Pressure:
    """A time in which processes wait for the processor, for `mean` seconds before each turn."""

    begins: float
    ends: float
    mean: float  #: seconds
    only: str = ""  #: the name of the one process that waits; empty: all do


class SimulatedProcess:
    """One process of the machine, by its `name`, which it has in common with its successors."""

    def __init__(self, host: "Host", name: str, phase: float) -> None:
        """`phase` is that of its beats, in seconds."""
        self.host = host
        self.name = name
        self.phase = phase
        self.context = copy_context()
        self.context.run(PROCESS.set, self)
        self.member_file = ""  #: path of its member file, once it is one
        self.runs_since = host.loop.now  #: since it began, or went on
        self.is_dead = False
        self.turned_at = 0.0  #: when it had the processor last
        self.was_pressed_at = float("-inf")  #: when it had to wait for it last
        self.is_stopped = False  #: by SIGSTOP, or by the freezer
        self.is_frozen = False  #: with its sentinel
        self.was_frozen = self.was_stopped = self.was_deaf = False
        self.hangs_since: float | None = None
        self.killed_for = ""  #: by whom or what, once it was
        self.waited = 0.0  #: seconds for the processor, of waits that are over
        self._ran = 0.0
        self._inbox: deque[Entry] = deque()
        self._is_due = False
        self._due_since = 0.0
        self._is_running = False

    @property
    def ran(self) -> float:
        """Seconds for which it had the processor."""
        hanging = 0.0 if self.hangs_since is None else self.host.loop.now - self.hangs_since
        return self._ran + hanging

    @property
    def state(self) -> str:
        """As in proc_pid_stat(5)."""
        if self.is_stopped:
            return "T"
        return "R" if self._is_due or self.hangs_since is not None else "S"

    @property
    def is_pressed(self) -> bool:
        """Whether others want the processor that it needs."""
        return self.host.is_pressed(self)

    @property
    def is_able(self) -> bool:
        """Whether it turns its loop, however late."""
        return not (self.is_dead or self.is_stopped or self.hangs_since is not None)

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin its main task."""
        return self.host.loop.create_task(work, context=self.context)

    def enqueue(self, entry: Entry) -> None:
        if self.is_dead:
            return
        self._inbox.append(entry)
        if not self._is_due and not self._is_running:
            self._become_due(0.0)

    def _become_due(self, busy: float) -> None:
        """Wait for the processor, after it was `busy` for some seconds."""
        self._is_due = True
        self._due_since = self.host.loop.now + busy
        delay = busy + self.host.run_delay(self)
        if delay > 0:
            self.host.loop.outside_after(delay, self.turn)
        else:
            self.host.loop.make_runnable(self)

    def turn(self) -> None:
        self._is_due = False
        if not self.is_able:
            return
        self.waited += max(0.0, self.host.loop.now - self._due_since)
        count = len(self._inbox)
        self.turned_at = self.host.loop.now
        if self.host.is_pressed(self):
            self.was_pressed_at = self.turned_at
        self._is_running, self.host.running = True, self
        for _ in range(count):
            self.host.loop.execute(self._inbox.popleft())
            if self.is_dead:
                break
        self._is_running, self.host.running = False, None
        if self.is_dead:
            return
        busy = count * TURN_COST if self.host.is_pressed(self) else 0.0
        self._ran += busy
        if self._inbox:
            self._become_due(busy)

    def stop(self, *, frozen: bool = False) -> None:
        """Stop it, as SIGSTOP does, or freeze it with its sentinel."""
        self.is_stopped, self.is_frozen = True, frozen
        self.was_stopped, self.was_frozen = True, self.was_frozen or frozen

    def go_on(self) -> None:
        """Let it run again, if it is alive."""
        self.is_stopped = self.is_frozen = False
        self.runs_since = self.host.loop.now
        if self._inbox and not self._is_due and not self.is_dead:
            self._become_due(0.0)

    def hang(self) -> None:
        """Have it compute for ever from now on."""
        self.hangs_since = self.host.loop.now

    def end(self, why: str) -> None:
        """End it, as SIGKILL does: at once, and nothing of it runs any more."""
        if not self.is_dead:
            self.is_dead, self.killed_for = True, why
            self.host.end_process(self)
            self._inbox.clear()  # its tasks are buried by now


class Host:
    """The machine on which all processes run."""

    has_sentinels = True  #: which kill what is stopped or hangs

    def __init__(self, loop: VirtualLoop, kernel: Kernel, random: SeededRandom) -> None:
        self.loop = loop
        self.kernel = kernel
        self.pressures: list[Pressure] = []
        self._random = random
        self.running: SimulatedProcess | None = None  #: which has the processor now
        self._end_handlers: list[Callable[[SimulatedProcess], None]] = []

    def on_end(self, handler: Callable[[SimulatedProcess], None]) -> None:
        """Register for the end of each process."""
        self._end_handlers.append(handler)

    def end_process(self, process: SimulatedProcess) -> None:
        self.kernel.end_process(process)
        self.loop.bury(process)
        for each in self._end_handlers:
            each(process)

    def run_delay(self, process: SimulatedProcess) -> float:
        """Seconds for which it waits for the processor now."""
        if not self.pressures or not (pressing := self._pressing(process)):
            return 0.0
        most = max(pressing, key=lambda each: each.mean)
        delay = self._random.expovariate(1 / most.mean)
        return min(delay, most.ends - self.loop.now)  # then there is enough for all

    def is_pressed(self, process: SimulatedProcess) -> bool:
        """Whether others want the processor that this one needs."""
        return bool(self.pressures) and any(self._pressing(process))

    def _pressing(self, process: SimulatedProcess) -> list[Pressure]:
        now = self.loop.now
        return [
            each
            for each in self.pressures
            if each.begins <= now < each.ends and each.only in ("", process.name)
        ]

    def pressure(self) -> float:
        """Seconds so far in which somebody waited for the processor, as /proc/pressure/cpu says."""
        now = self.loop.now
        return sum(max(0.0, min(now, each.ends) - each.begins) for each in self.pressures)

    async def watch(self, process: SimulatedProcess) -> None:
        """Watch as the sentinel of this process, until it has ended."""
        diagnosis = sentinel_program.Diagnosis()
        while True:
            await asyncio.sleep(diagnosis.pause + self.run_delay(process))
            while process.is_frozen and not process.is_dead:
                await asyncio.sleep(diagnosis.pause)
            if process.is_dead:
                return
            record = parse_record(self.kernel.read(process.member_file))
            ticks = 0 if record.flags & MemberFlag.LEFT else record.ticks
            found = diagnosis.look(self.loop.now, process.state, process.ran, process.waited, ticks)
            if found and self.has_sentinels:
                process.end(found)
