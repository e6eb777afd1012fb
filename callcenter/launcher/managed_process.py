"""A process of the product that is kept running."""

import asyncio
import itertools
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from callcenter.launcher.port_check import Port
from callcenter.launcher.processes import (
    describe_exit,
    kill,
    last_line,
    run,
    set_priority,
    spawn,
)
from callcenter.launcher.sandbox import Sandbox
from callcenter.launcher.sd_notify import readiness
from callcenter.platform.core.errors import DependencyUnavailable

FIRST_RESTART_DELAY = 0.2  # seconds
MAX_RESTART_DELAY = 10.0  # seconds
STABLE_AFTER = 30.0  # seconds of running, after which the delay is the first one again
# A server that another supervisor left behind (killed) needs a second or two to be gone.
START_ATTEMPTS = 5
WAITS = os.EX_TEMPFAIL  #: exit status of what a person must help first, as after half a restore


@dataclass(frozen=True)
class ProcessSpec:
    """A process of the product: its command, readiness and stopping. Times in seconds."""

    name: str
    command: Sequence[str]
    # Says where the part serves, or None while it does not. A part without a probe says so
    # itself, by `callcenter.launcher.sd_notify.ready`.
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
    # The variable that tells the process its descriptor of a UDP port. The port is bound before
    # anything starts, and while the process is away: nobody else gets it, and what comes is kept.
    held_port: tuple[str, Port] | None = None
    # None: it may open whatever its user may.
    sandbox: Sandbox | None = None
    # Variables of the environment that are for others.
    withheld: frozenset[str] = frozenset()
    # And those that it has instead.
    given: Mapping[str, str] = field(default_factory=dict)
    start_timeout: float = 60
    max_restart_delay: float = MAX_RESTART_DELAY
    stop_timeout: float = 10


@dataclass(frozen=True)
class LaunchContext:
    """The shared context of the processes of one copy: logs, sockets, environment."""

    logs: Path
    sockets: Path
    environment: Mapping[str, str]
    say: Callable[[str], None]

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def report(self, name: str, news: str) -> None:
        self.say(f"{name:<10} {news}")


class ManagedProcess:
    """Keeps a process running: restarts it, with a growing delay, whenever it dies.

    `held` is bound to its `held_port`; whoever made the socket closes it.
    """

    def __init__(
        self, spec: ProcessSpec, context: LaunchContext, held: socket.socket | None = None
    ) -> None:
        self.spec = spec
        self._context = context
        self._held = held
        self._process: asyncio.subprocess.Process | None = None
        self._serves = asyncio.Event()
        self._first_time: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """Process id of the running part. Raises DependencyUnavailable while there is none."""
        if self._process is None:
            raise DependencyUnavailable(f"{self.spec.name} is not running")
        return self._process.pid

    async def start(self) -> None:
        """Start the process; returns when it serves, and restarts it whenever it dies.

        It returns too when it ends with `WAITS`: others serve without it meanwhile. Raises
        DependencyUnavailable, with the last line of its log, when it died several times or did not
        serve in time. After that, or when cancelled, `stop` must be called.
        """
        if self.spec.prepare is not None:
            await self.spec.prepare()
        self._keeper = asyncio.create_task(self._keep_running(), name=f"keep {self.spec.name}")
        await self._first_time

    async def stop(self) -> None:
        """Stop the process permanently; returns when it is gone. May be called twice."""
        if self._keeper is not None:
            # The keeper ends its process in order when it is cancelled.
            self._keeper.cancel()
            await asyncio.wait({self._keeper})

    def kill(self) -> None:
        """Kill the process (SIGKILL), as a fault would; it will be started again."""
        self._serves.clear()
        os.kill(self.pid, signal.SIGKILL)

    async def serving(self, timeout: float) -> None:
        """Wait until the process serves (again).

        Raises TimeoutError after `timeout` seconds.
        """
        async with asyncio.timeout(timeout):
            await self._serves.wait()

    async def _keep_running(self) -> None:
        delay = FIRST_RESTART_DELAY
        for instance in itertools.count(1):
            started = time.monotonic()
            status: int | None = None
            try:
                status = await self._run_once()
                how = describe_exit(status)
            except OSError as exc:
                how = f"cannot start: {exc}"
            if status == WAITS:
                how = last_line(self._context.log(self.spec.name))
                if not self._first_time.done():
                    self._first_time.set_result(None)
            if instance == START_ATTEMPTS:
                self._give_up(how)
            if time.monotonic() - started > STABLE_AFTER:
                delay = FIRST_RESTART_DELAY
            self._context.report(self.spec.name, f"died ({how}); starting it again in {delay:g} s")
            await asyncio.sleep(delay)
            delay = min(delay * 2, self.spec.max_restart_delay)

    def _give_up(self, how: str) -> None:
        """Make `start` fail, if the process has never served."""
        if not self._first_time.done():
            name = self.spec.name
            words = last_line(self._context.log(name)) or "it said nothing"
            self._first_time.set_exception(
                DependencyUnavailable(
                    f"{name} cannot be started ({how}): {words}; see {self._context.log(name)}"
                )
            )

    async def _run_once(self) -> int:
        """Run the process once; returns its exit status."""
        given = self._context.environment
        own = {name: value for name, value in given.items() if name not in self.spec.withheld}
        own.update(self.spec.given)
        if self.spec.probe is not None:
            return await self._run(own, partial(poll, self.spec.probe))
        path = self._context.sockets / f"notify-{self.spec.name}.sock"
        async with readiness(path) as status:
            return await self._run({**own, "NOTIFY_SOCKET": str(path)}, lambda: status)

    async def _run(
        self, environment: Mapping[str, str], serves: Callable[[], Awaitable[str]]
    ) -> int:
        options = self.spec.sandbox.options() if self.spec.sandbox else ()
        descriptors: tuple[int, ...] = ()
        if self.spec.held_port is not None and self._held is not None:
            descriptors = (self._held.fileno(),)
            environment = {**environment, self.spec.held_port[0]: str(descriptors[0])}
        process = await spawn(
            self.spec.command,
            log=self._context.log(self.spec.name),
            environment=environment,
            privileges=(*self.spec.privileges, *options),
            death_signal=self.spec.death_signal,
            descriptors=descriptors,
        )
        self._process = process
        set_priority(process.pid, self.spec.nice)
        watch = asyncio.create_task(self._watch(process, serves))
        try:
            return await process.wait()
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
        """Wait until the process serves; kill it after the start timeout."""
        try:
            async with asyncio.timeout(self.spec.start_timeout):
                where = await serves()
        except TimeoutError:
            how = f"not ready after {self.spec.start_timeout:g} s"
            self._give_up(how)
            self._context.report(self.spec.name, f"{how}; killing it")
            process.kill()
            return
        self._serves.set()
        self._context.report(self.spec.name, f"ready  pid {process.pid:<8} {where}")
        if not self._first_time.done():
            self._first_time.set_result(None)

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        """Ask the process to stop, by its command or signal, and wait for the stop timeout."""
        with suppress(ProcessLookupError, TimeoutError):
            async with asyncio.timeout(self.spec.stop_timeout):
                if self.spec.stop_command:
                    await run(
                        self.spec.stop_command,
                        log=self._context.log(self.spec.name),
                        environment=self._context.environment,
                    )
                else:
                    process.send_signal(self.spec.stop_signal)
                await process.wait()


async def poll(probe: Callable[[], Awaitable[str | None]]) -> str:
    """Call the probe until it says where the process serves."""
    while True:
        where = await probe()
        if where is not None:
            return where
        await asyncio.sleep(0.05)
