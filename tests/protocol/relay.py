"""A network between client and Asterisk that cuts messages to pieces, and can be cut."""

import asyncio
from contextlib import suppress

from tests.streams import open_stream


class Relay:
    """Carries connections to a port on this machine; `carry` is for `stream_server`.

    What comes back from Asterisk is carried byte by byte, the worst that TCP may do. What goes
    there is not: Asterisk's own WebSocket gives up a frame after ten reads ("seems unresponsive").
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.answered = b""
        self._writers: set[asyncio.StreamWriter] = set()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opening = asyncio.open_connection("127.0.0.1", self.target)
        with suppress(OSError):  # nobody is there, or is any more
            async with open_stream(opening) as (there, back):
                self._writers |= {writer, back}
                await asyncio.gather(self._ask(reader, back), self._answer(there, writer))
                closing = (each.wait_closed() for each in (writer, back))
                await asyncio.gather(*closing, return_exceptions=True)

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(100_000):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(1000):
                self.answered += data
                for byte in data:
                    writer.write(bytes([byte]))
                    await writer.drain()
        writer.close()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
