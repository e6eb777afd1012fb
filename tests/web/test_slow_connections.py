"""Connections that are idle or slow end in time, and keep nobody out."""

import asyncio
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    ExitStack,
    asynccontextmanager,
    nullcontext,
)

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from callcenter.platform.web import connection_limits
from callcenter.platform.web.connection_limits import ConnectionPool, connection_limit
from callcenter.platform.web.server import PageServer, configure, listen
from tests.streams import Stream, open_stream

HEAD = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 40000\r\n\r\n"
WHOLE = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
LIMIT = 20  # seconds after which a test fails, busy as the machine may be


def do_nothing() -> None:
    pass


async def respond(scope: Scope, receive: Receive, send: Send) -> None:
    """The length of what was sent; at /large, far more than sockets take."""
    request = Request(scope, receive)
    if request.url.path == "/large":
        answer: Response = Response(b"x" * 20_000_000)
    else:
        try:
            answer = PlainTextResponse(f"{len(await request.body())} bytes")
        except ClientDisconnect:
            return
    await answer(scope, receive, send)


@asynccontextmanager
async def serving(limit: int = 100) -> AsyncIterator[int]:
    """The server of the pages with an application of a few lines; its port."""
    with listen("127.0.0.1", 0, "") as listener:
        server = PageServer(configure(respond), do_nothing, do_nothing)
        server.server_state = ConnectionPool(limit)
        server.capture_signals = nullcontext  # type: ignore[assignment,method-assign]
        task = asyncio.create_task(server.serve([listener]))
        async with asyncio.timeout(LIMIT):
            yield listener.getsockname()[1]
            server.force_exit = True
            server.handle_exit(15, None)
            await task


@pytest.fixture
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limits, "HEAD_TIMEOUT", 0.3)
    monkeypatch.setattr(connection_limits, "BODY_TIMEOUT", 0.3)
    monkeypatch.setattr(connection_limits, "SEND_TIMEOUT", 0.3)


@pytest.fixture
def connections() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def opened(port: int) -> AbstractAsyncContextManager[Stream]:
    return open_stream(asyncio.open_connection("127.0.0.1", port))


async def trickle(port: int, beginning: bytes, each: bytes) -> None:
    """Send the beginning, then a little again and again, until the server ends it."""
    async with opened(port) as (reader, writer):
        ended = asyncio.create_task(reader.read())
        writer.write(beginning)
        while not ended.done():
            writer.write(each)
            await asyncio.wait((ended,), timeout=0.05)


@pytest.mark.usefixtures("short_times")
async def test_unfinished_headers_end_however_slowly_they_come() -> None:
    async with serving() as port:
        await trickle(port, b"", b"")
        await trickle(port, b"GET / HTTP/1.1\r\nHost: here\r\nX: ", b"x")
        # So do those of a second request on a connection that was kept.
        await trickle(port, WHOLE + b"GET / HTTP/1.1\r\nX: ", b"x")


def test_unfinished_headers_and_bodies_end_in_ten_seconds() -> None:
    assert connection_limits.HEAD_TIMEOUT == connection_limits.BODY_TIMEOUT == 10


@pytest.mark.usefixtures("short_times")
async def test_a_slow_body_ends() -> None:
    async with serving() as port:
        await trickle(port, HEAD, b"x")


async def test_a_body_slower_than_its_limit_arrives_if_steady(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_limits, "BODY_TIMEOUT", 0.2)
    async with serving() as port, opened(port) as (reader, writer):
        writer.write(HEAD)
        for _ in range(8):
            writer.write(5000 * b"x")
            await writer.drain()
            await asyncio.sleep(0.1)  # what a slow network does
        assert (await reader.readuntil(b"bytes")).endswith(b"40000 bytes")


async def send_on(client: socket.socket) -> None:
    """Send again and again without reading, until the server has closed."""
    while True:
        await asyncio.sleep(0.05)
        await asyncio.get_running_loop().sock_sendall(client, b"x")


@pytest.mark.usefixtures("short_times")
async def test_an_answer_that_nobody_reads_is_given_up() -> None:
    async with serving() as port:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.setblocking(False)
            client.send(b"GET /large HTTP/1.1\r\nHost: here\r\n\r\n")
            with pytest.raises(ConnectionResetError):
                await send_on(client)


async def test_idle_connections_make_room_for_new_ones(connections: ExitStack) -> None:
    async with serving(limit=10) as port:
        for _ in range(50):
            connection = socket.create_connection(("127.0.0.1", port))
            connections.enter_context(connection)
            connection.send(b"GET / HTTP/1.1\r\n")
        async with opened(port) as (reader, writer):
            writer.write(WHOLE)
            assert (await reader.readuntil(b"bytes")).endswith(b"0 bytes")


async def test_the_longest_waiting_connection_makes_room() -> None:
    async with serving(limit=2) as port, opened(port) as busy:
        busy[1].write(HEAD)
        async with opened(port) as oldest, opened(port) as newest:
            assert await oldest[0].read() == b""
            for reader, writer, rest in ((*newest, WHOLE), (*busy, 40000 * b"x")):
                writer.write(rest)
                await reader.readuntil(b" bytes")


def test_connections_leave_files_for_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {65_536: 4096, 1024: 768, 300: 150}
    for files, limit in limits.items():
        monkeypatch.setattr(resource, "getrlimit", lambda _, files=files: (files, files))
        assert connection_limit() == limit
