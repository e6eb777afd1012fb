"""Streams within tests: no socket and no task outlives the block that it was made in.

`asyncio.start_server` ends without those that it serves, and what they opened is found by whichever
test collects the garbage.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


@asynccontextmanager
async def stream_server(serve: Serve, place: int | Path = 0) -> AsyncIterator[asyncio.Server]:
    """Serve each connection to a port of this machine (0: a free one), or to a UNIX path.

    A connection is cut when `serve` has returned, whatever is left unsent, and at the end.
    """
    serving = set[asyncio.Task[None]]()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not server.is_serving():  # accepted while it was closed
            writer.transport.abort()
            return
        task = asyncio.create_task(serve(reader, writer))
        serving.add(task)
        task.add_done_callback(serving.discard)
        task.add_done_callback(lambda _: writer.transport.abort())

    if isinstance(place, Path):
        server = await asyncio.start_unix_server(begin, place, start_serving=False)
    else:
        server = await asyncio.start_server(begin, "127.0.0.1", place, start_serving=False)
    try:
        await server.start_serving()
        yield server
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


def port_of(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port


@asynccontextmanager
async def open_stream(opening: Awaitable[Stream]) -> AsyncIterator[Stream]:
    """What `asyncio.open_connection` opens, cut at the end."""
    reader, writer = await opening
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with suppress(OSError):  # it was lost before
            await writer.wait_closed()
