"""The server of the pages: it sleeps while nobody asks, and ends when told."""

import asyncio
import signal
import socket
from contextlib import nullcontext

import pytest
import uvicorn
from starlette.responses import PlainTextResponse

from callcenter.commands import web
from callcenter.platform.web import server as page_server
from tests.streams import open_stream


def do_nothing() -> None:
    pass


async def test_the_server_ends_with_what_fails_beside_it() -> None:
    has_ended = asyncio.Event()

    async def fails() -> None:
        raise RuntimeError("the listener is gone")

    async def goes_on() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            has_ended.set()

    with pytest.raises(ExceptionGroup) as failed:
        async with asyncio.timeout(20), web.running_beside([goes_on(), fails()]):
            await asyncio.Event().wait()
    assert [str(each) for each in failed.value.exceptions] == ["the listener is gone"]
    assert has_ended.is_set()


async def test_what_runs_beside_the_server_ends_with_it() -> None:
    has_begun, has_ended = asyncio.Event(), asyncio.Event()

    async def goes_on() -> None:
        has_begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            has_ended.set()

    async with asyncio.timeout(20), web.running_beside([goes_on()]):
        await has_begun.wait()
    assert has_ended.is_set()


async def test_an_idle_server_ends_at_once_when_signalled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_server, "TICK_INTERVAL", 3600.0)
    config = uvicorn.Config(PlainTextResponse("here"), log_config=None, lifespan="off")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = page_server.PageServer(config, do_nothing, do_nothing)
        monkeypatch.setattr(server, "capture_signals", nullcontext)
        async with asyncio.timeout(20):
            serving = asyncio.create_task(server.serve([listener]))
            opening = asyncio.open_connection(*listener.getsockname())
            async with open_stream(opening) as (reader, writer):
                writer.write(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
                answer = await reader.read()
            server.handle_exit(signal.SIGTERM, None)
            await serving
    assert b"\r\ndate: " in answer
