"""UDP sockets of tests: the other side of a telephone, spoken by hand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar, cast

from callcenter.sipphone import sip
from callcenter.sipphone.sip import Place, Request, Response


class Socket(asyncio.DatagramProtocol):
    """Keeps what it received, in order."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()
        self.received: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()

    def datagram_received(self, data: bytes, addr: Place) -> None:
        self.received.append(data)

    @property
    def place(self) -> Place:
        host, port = self.transport.get_extra_info("sockname")
        return host, port

    def requests(self, method: str) -> list[Request]:
        messages = map(sip.parse, self.received)
        return [each for each in messages if isinstance(each, Request) and each.method == method]

    def responses(self, status: int) -> list[Response]:
        messages = map(sip.parse, self.received)
        return [each for each in messages if isinstance(each, Response) and each.status == status]


S = TypeVar("S", bound=Socket)


@asynccontextmanager
async def opened(socket: S, address: str) -> AsyncIterator[S]:
    """The socket on any free port of an address, until the end of the block."""
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(lambda: socket, local_addr=(address, 0))
    try:
        yield socket
    finally:
        socket.transport.close()
        await socket.closed.wait()
