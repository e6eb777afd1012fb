"""Clients of Asterisk leave no socket, whenever they are cancelled while they connect."""

import asyncio
import gc
import warnings
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from callcenter.telephony.asterisk.ami import Ami
from callcenter.telephony.asterisk.ari import Ari
from tests.protocol.bare_asterisk import SECRET
from tests.streams import port_of, stream_server

MOMENTS = 24  # turns of the loop within which a client has connected, and waits for an answer
Connect = Callable[[int], Coroutine[Any, Any, None]]


async def by_ami(port: int) -> None:
    async with Ami(port=port, secret=SECRET):
        await asyncio.Future()


async def by_ari(port: int) -> None:
    async def nothing() -> None: ...

    await Ari(
        port=port,
        password=SECRET,
        application="line-1",
        on_event=lambda _: None,
        on_connected=nothing,
    ).run()


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def cancelled_after(turns: int, connect: Connect) -> None:
    async with stream_server(silent) as server:
        connecting = asyncio.create_task(connect(port_of(server)))
        for _ in range(turns):
            await asyncio.sleep(0)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting


@pytest.mark.parametrize("connect", [by_ami, by_ari])
def test_a_client_cancelled_while_connecting_leaves_no_socket(connect: Connect) -> None:
    gc.collect()
    with warnings.catch_warnings(record=True) as left:
        warnings.simplefilter("always")
        for turns in range(MOMENTS):
            asyncio.run(cancelled_after(turns, connect))
        gc.collect()
    assert not left
