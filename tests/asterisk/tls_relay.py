"""A relay that makes a scripted telephone, which speaks SIP by UDP, one that speaks it by TLS."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

from callcenter.sipphone.sip import Place
from tests.asterisk.srtp import SrtpRelay
from tests.streams import open_stream

_LENGTH = re.compile(rb"\r\nContent-Length: *([0-9]+)", re.IGNORECASE)


class TlsRelay(asyncio.DatagramProtocol):
    """Passes what its one telephone says on to the server, and back. `place` is its address.

    With `sound` the telephone speaks SRTP too.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        sound: SrtpRelay | None = None,
    ) -> None:
        self.received: list[bytes] = []  #: messages of the server
        self._reader, self._writer, self._sound = reader, writer, sound
        self._telephone: Place | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    @property
    def place(self) -> Place:
        host, port = self._transport.get_extra_info("sockname")[:2]
        return str(host), int(port)

    def datagram_received(self, data: bytes, addr: Place) -> None:
        self._telephone = addr
        message = data.replace(b"SIP/2.0/UDP", b"SIP/2.0/TLS")
        if self._sound is not None:
            message = _with_description(message, self._sound.to_server)
        self._writer.write(message)

    async def pass_back(self) -> None:
        """Pass on messages of the server until it hangs up."""
        while True:
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            body = await self._reader.readexactly(int(length[1]) if length else 0)
            self.received.append(head.lstrip() + body)
            message = self.received[-1]
            if self._sound is not None:
                message = _with_description(message, self._sound.to_telephone)
            if self._telephone is not None:
                self._transport.sendto(message, self._telephone)


def _with_description(message: bytes, change: Callable[[str], str]) -> bytes:
    """The message with its session description changed, if it has one."""
    head, _, body = message.partition(b"\r\n\r\n")
    if not body.startswith(b"v=0"):
        return message
    changed = change(body.decode().replace("\r\n", "\n")).replace("\n", "\r\n").encode()
    length = b"\r\nContent-Length: %d" % len(changed)
    return _LENGTH.sub(length, head) + b"\r\n\r\n" + changed


@asynccontextmanager
async def tls_relay(
    server: Place, address: str, certificate: Path, sound: SrtpRelay | None = None
) -> AsyncIterator[TlsRelay]:
    """A relay at this address that trusts the server by its certificate."""
    trust = ssl.create_default_context(cafile=str(certificate))
    opening = asyncio.open_connection(*server, ssl=trust, local_addr=(address, 0))
    async with open_stream(opening) as (reader, writer):
        loop = asyncio.get_running_loop()
        transport, relay = await loop.create_datagram_endpoint(
            lambda: TlsRelay(reader, writer, sound), local_addr=(address, 0)
        )
        passing = asyncio.create_task(relay.pass_back())
        try:
            yield relay
        finally:
            transport.close()
            passing.cancel()
            await asyncio.gather(passing, return_exceptions=True)
