"""A network between client and Asterisk that can be cut."""

import asyncio


class Relay:
    """A TCP relay that can cut its connections, as a network does."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.writers: set[asyncio.StreamWriter] = set()
        self.carried = b""

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self.writers |= {writer, back}
        try:
            await asyncio.gather(self.pump(reader, back), self.pump(there, writer))
        finally:
            for end in (writer, back):
                end.close()
                await asyncio.gather(end.wait_closed(), return_exceptions=True)

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1000):
                self.carried += data
                # Byte by byte: the worst that TCP may do to a message.
                for byte in data:
                    writer.write(bytes([byte]))
                    await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    def cut(self) -> None:
        for writer in self.writers:
            writer.transport.abort()
        self.writers.clear()
