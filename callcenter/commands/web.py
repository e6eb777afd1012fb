"""`callcenter web`: the pages and the API."""

import asyncio
import logging
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from types import FrameType
from typing import Any

import click
import uvicorn
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.types import ASGIApp

from callcenter.bootstrap.data_secrets import RECORDINGS, ensure_secrets
from callcenter.bootstrap.metrics import WebMetrics
from callcenter.bootstrap.web import application, web_modules
from callcenter.launcher.process_secrets import OF_WEB
from callcenter.launcher.sd_notify import ready
from callcenter.platform.core.beats import next_beat
from callcenter.platform.core.errors import DependencyUnavailable
from callcenter.platform.core.settings import Settings, read_settings
from callcenter.platform.monitoring.metrics_server import metrics_port, serve_metrics
from callcenter.platform.storage.database_roles import DatabaseRole, in_role
from callcenter.platform.storage.engine import open_database
from callcenter.platform.storage.redis import open_redis, refuse_eviction
from callcenter.platform.storage.redis_users import RedisUser, as_redis_user
from callcenter.platform.web.application import background_loops
from callcenter.platform.web.connection_limits import (
    ACCEPTED_AT_ONCE,
    SEND_TIMEOUT,
    ConnectionPool,
    LimitedConnection,
    connection_limit,
)
from callcenter.platform.web.context import AppContext
from callcenter.platform.web.health import check_database
from callcenter.wallboard.live_feed import LiveFeed

#: How long requests in progress may take to end after SIGTERM, in seconds.
SHUTDOWN_TIMEOUT = 10
BACKLOG = 256  # connections that the kernel holds until they are accepted
TICK_INTERVAL = 1.0  # seconds between two changes of the header Date, which has whole seconds

log = logging.getLogger("callcenter.platform.web")


@click.command(name="web")
def command() -> None:
    """Serve the pages and the API until SIGTERM or Ctrl-C."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    settings = in_role(read_settings(), DatabaseRole.WEB)
    # What is uploaded waits there, in files without a name: the process writes no other folder.
    settings.exports.mkdir(mode=0o700, parents=True, exist_ok=True)
    tempfile.tempdir = str(settings.exports)
    asyncio.run(serve(as_redis_user(settings, RedisUser.WEB)))


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C; requests in progress are finished, unless it raises.

    Raises DependencyUnavailable when the database is not there, Redis evicts keys, or the port is
    not free; ExceptionGroup when what runs beside the pages has failed.
    """
    engine, redis = open_database(settings), open_redis(settings)
    try:
        await check_database(engine)
        await refuse_eviction(redis)
        await ensure_secrets(settings, engine, (*OF_WEB, RECORDINGS))
        app = application(settings, engine, redis)
        feed: LiveFeed = app.state.live_feed
        with listen(settings) as listener:
            url = f"http://{settings.web_address}:{settings.web_port}"
            site: AppContext = app.state.site
            metrics = WebMetrics(app.state.answers, lambda: _is_ready(engine))
            figures = serve_metrics(metrics_port(settings, "web"), metrics.figures, metrics.needs)
            loops = background_loops(site, web_modules())
            async with running_beside(loops), feed.running(), figures:
                await _run(app, feed, listener, url)
    finally:
        await redis.aclose()
        await engine.dispose()


@asynccontextmanager
async def running_beside(loops: Iterable[Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Run these until the block ends; one that fails ends the block, and is raised.

    Whoever starts the process anew is better than streams of sessions that are over, which go on
    unnoticed.
    """
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each) for each in loops]
        yield
        for each in tasks:
            each.cancel()


async def _is_ready(engine: AsyncEngine) -> bool:
    try:
        await check_database(engine)
    except DependencyUnavailable:
        return False
    return True


def listen(settings: Settings) -> socket.socket:
    """The socket of the pages, whose connections send at once.

    Without TCP_NODELAY the end of an answer on a kept connection waits 40 ms for the browser's
    delayed acknowledgement. asyncio sets it only where a socket names its protocol, which those of
    `create_server` do not; connections have it from their listener (tcp(7)). So they have the time
    after which one ends whose client acknowledges nothing, or has no room for more.

    Raises DependencyUnavailable when the address cannot be used.
    """
    address = (str(settings.web_address), settings.web_port)
    try:
        listener = socket.create_server(address, backlog=BACKLOG)
    except OSError as exc:
        raise DependencyUnavailable(
            f"cannot listen on {address[0]}:{address[1]} ({exc.strerror}): "
            "stop what uses it, or set CALLCENTER_WEB_PORT or CALLCENTER_WEB_ADDRESS"
        ) from exc
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    unacknowledged = int(SEND_TIMEOUT * 1000)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, unacknowledged)
    return listener


async def _run(app: FastAPI, feed: LiveFeed, listener: socket.socket, url: str) -> None:
    server = WebServer(configure(app), feed, url)
    # After a graceful stop uvicorn raises the signal again; without this the process would die
    # of it before the database is let go of.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    await server.serve(sockets=[listener])


def configure(app: ASGIApp) -> uvicorn.Config:
    """The configuration of the server of these pages."""
    return uvicorn.Config(
        app,
        log_config=None,
        # It is our own (SecurityMiddleware): uvicorn's has paths and queries, which are personal.
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_TIMEOUT,
        lifespan="off",
        backlog=ACCEPTED_AT_ONCE,
        # Not what happens to be installed, as what tests bring: the same everywhere.
        http=LimitedConnection,
        ws="none",
    )


class WebServer(uvicorn.Server):
    """Announces readiness once requests are accepted; ends streams on shutdown."""

    def __init__(self, config: uvicorn.Config, feed: LiveFeed, url: str) -> None:
        super().__init__(config)
        self.server_state = ConnectionPool(connection_limit())
        self._feed = feed
        self._url = url
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
        ready(self._url)
        log.info("pages served: %s", self._url)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._feed.end()  # a stream would go on for its whole time of grace
        await super().shutdown(sockets)
