"""The HTTP server of pages: its socket, its limits, and how it begins and ends."""

import asyncio
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from callcenter.platform.core.beats import next_beat
from callcenter.platform.core.errors import DependencyUnavailable
from callcenter.platform.web.connection_limits import (
    ACCEPTED_AT_ONCE,
    SEND_TIMEOUT,
    ConnectionPool,
    LimitedConnection,
    connection_limit,
)

#: How long requests in progress may take to end after SIGTERM, in seconds.
SHUTDOWN_TIMEOUT = 10
BACKLOG = 256  # connections that the kernel holds until they are accepted
TICK_INTERVAL = 1.0  # seconds between two changes of the header Date, which has whole seconds


def listen(address: str, port: int, setting: str) -> socket.socket:
    """Open the socket of pages, whose connections send at once.

    `setting` is how the names of the settings that move it begin.

    Without TCP_NODELAY the end of an answer on a kept connection waits 40 ms for the browser's
    delayed acknowledgement. asyncio sets it only where a socket names its protocol, which those of
    `create_server` do not; connections have it from their listener (tcp(7)). So they have the time
    after which one ends whose client acknowledges nothing, or has no room for more.

    Raises DependencyUnavailable when the address cannot be used.
    """
    try:
        listener = socket.create_server((address, port), backlog=BACKLOG)
    except OSError as exc:
        raise DependencyUnavailable(
            f"cannot listen on {address}:{port} ({exc.strerror}): "
            f"stop what uses it, or set {setting}_PORT or {setting}_ADDRESS"
        ) from exc
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    unacknowledged = int(SEND_TIMEOUT * 1000)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, unacknowledged)
    return listener


def configure(app: ASGIApp) -> uvicorn.Config:
    """The configuration of the server of these pages."""
    return uvicorn.Config(
        app,
        log_config=None,
        # It is our own: uvicorn's has paths and queries, which are personal.
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_TIMEOUT,
        lifespan="off",
        backlog=ACCEPTED_AT_ONCE,
        # Not what happens to be installed, as what tests bring: the same everywhere.
        http=LimitedConnection,
        ws="none",
    )


class PageServer(uvicorn.Server):
    """Calls `on_ready` once requests are accepted, and `on_end` before it waits for their end."""

    def __init__(
        self, config: uvicorn.Config, on_ready: Callable[[], None], on_end: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self.server_state = ConnectionPool(connection_limit())
        self._on_ready = on_ready
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._ending = asyncio.Event()

    async def main_loop(self) -> None:
        """Tick once a second: uvicorn looks ten times whether it is to end."""
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout_at(next_beat(TICK_INTERVAL)):
                    await self._ending.wait()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End, at a signal: Python calls this between any two steps of the loop."""
        super().handle_exit(sig, frame)
        self._loop.call_soon_threadsafe(self._ending.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(BACKLOG)  # the server has let it hold what it accepts at once
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_end()
        await super().shutdown(sockets)


async def run_server(
    app: ASGIApp,
    listener: socket.socket,
    on_ready: Callable[[], None],
    on_end: Callable[[], None],
) -> None:
    """Serve until SIGTERM or SIGINT; requests in progress are finished."""
    server = PageServer(configure(app), on_ready, on_end)
    # After a graceful stop uvicorn raises the signal again; without this the process would die
    # of it before the database is let go of.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    await server.serve(sockets=[listener])
