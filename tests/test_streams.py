"""Streams of tests leave no socket, however soon the loop ends after them."""

import asyncio
import gc
import warnings

import pytest

from tests.calls.tcp_proxies import AmiRelay
from tests.protocol.relay import Relay
from tests.streams import open_stream, port_of, stream_server

MOMENTS = 16  # turns of the loop within which a relay has noticed that its client went


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.read())


async def leave_after(turns: int, kind: type[Relay | AmiRelay]) -> None:
    async with stream_server(answer) as server:
        relay = kind(port_of(server))
        async with stream_server(relay.carry) as between:
            opening = asyncio.open_connection("127.0.0.1", port_of(between))
            async with open_stream(opening) as (_, writer):
                writer.write(b"x")
                await asyncio.sleep(0.02)
            for _ in range(turns):
                await asyncio.sleep(0)


@pytest.mark.parametrize("kind", [Relay, AmiRelay])
def test_no_socket_of_a_relay_outlives_its_block(kind: type[Relay | AmiRelay]) -> None:
    gc.collect()
    with warnings.catch_warnings(record=True) as left:
        warnings.simplefilter("always")
        for turns in range(MOMENTS):
            asyncio.run(leave_after(turns, kind))
        gc.collect()
    assert not left
