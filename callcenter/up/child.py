"""One part of the product as a process that is kept running."""

import asyncio
import itertools
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from callcenter.errors import NotReady
from callcenter.up.confinement import Confinement
from callcenter.up.notify import readiness
from callcenter.up.processes import describe_exit, give_turn, kill, last_words, run, spawn

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 10.0
SETTLED = 30.0
# A server that another supervisor left behind (killed) needs a second or two to be gone.
FIRST_TRIES = 5


@dataclass(frozen=True)
class Part:
    """A process of the product: how it is started, known to serve, and stopped. Seconds."""

    name: str
    command: Sequence[str]
    # Says where the part serves, or None while it does not. A part without a probe says so
    # itself, by `callcenter.up.notify.ready`.
    probe: Callable[[], Awaitable[str | None]] | None = None
    # Done once, before the first start.
    prepare: Callable[[], Awaitable[None]] | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_command: Sequence[str] = ()
    # What the kernel sends when the supervisor is killed.
    death_signal: str = "KILL"
    privileges: Sequence[str] = ()
    # Whose turn it is on a busy processor, as `nice` has it: the less, the sooner.
    nice: int = 0
    # None: it may open whatever its user may.
    confined: Confinement | None = None
    patience: float = 60
    longest_pause: float = LONGEST_PAUSE
    stop_patience: float = 10


@dataclass(frozen=True)
class Surroundings:
    """What the processes of one copy share."""

    logs: Path
    sockets: Path
    environment: Mapping[str, str]
    say: Callable[[str], None]

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def tell(self, name: str, news: str) -> None:
        self.say(f"{name:<10} {news}")


class Child:
    """Keeps one part running: starts it again, with a growing pause, whenever it dies."""

    def __init__(self, part: Part, around: Surroundings) -> None:
        self.part = part
        self._around = around
        self._process: asyncio.subprocess.Process | None = None
        self._serves = asyncio.Event()
        self._first_time: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """Process id of the running part. Raises NotReady while there is none."""
        if self._process is None:
            raise NotReady(f"{self.part.name} is not running")
        return self._process.pid

    async def start(self) -> None:
        """Returns when the part serves; from then on it is started again whenever it dies.

        Raises NotReady, with its last words, when it died several times or did not serve in
        time. After that, or when cancelled, `stop` must be called.
        """
        if self.part.prepare is not None:
            await self.part.prepare()
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.part.name}")
        await self._first_time

    async def stop(self) -> None:
        """Stop the part for good; returns when its process is gone. May be called twice."""
        if self._keeper is not None:
            # The keeper ends its process in order when it is cancelled.
            self._keeper.cancel()
            await asyncio.wait({self._keeper})

    def kill(self) -> None:
        """Kill the process (SIGKILL), as a fault would; it will be started again."""
        self._serves.clear()
        os.kill(self.pid, signal.SIGKILL)

    async def serving(self, timeout: float) -> None:
        """Returns when the part serves (again). Raises TimeoutError after `timeout` seconds."""
        async with asyncio.timeout(timeout):
            await self._serves.wait()

    async def _keep(self) -> None:
        pause = FIRST_PAUSE
        for life in itertools.count(1):
            started = time.monotonic()
            try:
                how = await self._live()
            except OSError as exc:
                how = f"cannot start: {exc}"
            if life == FIRST_TRIES:
                self._give_up(how)
            if time.monotonic() - started > SETTLED:
                pause = FIRST_PAUSE
            self._around.tell(self.part.name, f"died ({how}); starting it again in {pause:g} s")
            await asyncio.sleep(pause)
            pause = min(pause * 2, self.part.longest_pause)

    def _give_up(self, how: str) -> None:
        """Make `start` fail, if the part has never served."""
        if not self._first_time.done():
            name = self.part.name
            words = last_words(self._around.log(name)) or "it said nothing"
            self._first_time.set_exception(
                NotReady(f"{name} cannot be started ({how}): {words}; see {self._around.log(name)}")
            )

    async def _live(self) -> str:
        """One life of the process; says how it ended."""
        if self.part.probe is not None:
            return await self._run(self._around.environment, partial(poll, self.part.probe))
        path = self._around.sockets / f"notify-{self.part.name}.sock"
        async with readiness(path) as told:
            environment = {**self._around.environment, "NOTIFY_SOCKET": str(path)}
            return await self._run(environment, lambda: told)

    async def _run(
        self, environment: Mapping[str, str], serves: Callable[[], Awaitable[str]]
    ) -> str:
        confined = self.part.confined.options() if self.part.confined else ()
        process = await spawn(
            self.part.command,
            log=self._around.log(self.part.name),
            environment=environment,
            privileges=(*self.part.privileges, *confined),
            death_signal=self.part.death_signal,
        )
        self._process = process
        give_turn(process.pid, self.part.nice)
        watch = asyncio.create_task(self._watch(process, serves))
        try:
            return describe_exit(await process.wait())
        except asyncio.CancelledError:
            await self._end(process)
            raise
        finally:
            self._process = None
            self._serves.clear()
            watch.cancel()
            await kill(process)

    async def _watch(
        self, process: asyncio.subprocess.Process, serves: Callable[[], Awaitable[str]]
    ) -> None:
        """Waits until the process serves; kills it when that takes too long."""
        try:
            async with asyncio.timeout(self.part.patience):
                where = await serves()
        except TimeoutError:
            how = f"not ready after {self.part.patience:g} s"
            self._give_up(how)
            self._around.tell(self.part.name, f"{how}; killing it")
            process.kill()
            return
        self._serves.set()
        self._around.tell(self.part.name, f"ready  pid {process.pid:<8} {where}")
        if not self._first_time.done():
            self._first_time.set_result(None)

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        """Ask the process to stop, in the way of the part, and wait for as long as it may take."""
        with suppress(ProcessLookupError, TimeoutError):
            async with asyncio.timeout(self.part.stop_patience):
                if self.part.stop_command:
                    await run(
                        self.part.stop_command,
                        log=self._around.log(self.part.name),
                        environment=self._around.environment,
                    )
                else:
                    process.send_signal(self.part.stop_signal)
                await process.wait()


async def poll(probe: Callable[[], Awaitable[str | None]]) -> str:
    """Ask until the probe says where the part serves."""
    while True:
        where = await probe()
        if where is not None:
            return where
        await asyncio.sleep(0.05)
