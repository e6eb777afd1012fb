"""What stands between us and a server, and does what networks, busy machines and bugs do."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from callcenter.settings import Settings
from tests.calls.house import House

POSTGRES = ".s.PGSQL.5432"  # the name of its socket
#: After which seconds an event is passed on, each time that it is.
Fate = Callable[[dict[str, Any]], Sequence[float]]


def passed_on(_: dict[str, Any]) -> Sequence[float]:
    return (0.0,)


def swallowed(_: dict[str, Any]) -> Sequence[float]:
    return ()


def told_twice(_: dict[str, Any]) -> Sequence[float]:
    return (0.0, 0.4)


class _Relay:
    """Carries connections; while `flows` is not set nothing passes, and nobody is told."""

    def __init__(self) -> None:
        self.flows = asyncio.Event()
        self.flows.set()
        self.delay = 0.0  #: seconds that what is asked waits

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        raise NotImplementedError

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """For `asyncio.start_server`."""
        try:
            there, back = await self._connect()
        except OSError:
            writer.transport.abort()
            return
        ways = [
            asyncio.create_task(each)
            for each in (self._ask(reader, back), self._answer(there, writer))
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for end in (writer, back):
                end.transport.abort()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._pass(reader, writer, late=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._pass(reader, writer)

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, late: bool = False
    ) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                await asyncio.sleep(self.delay if late else 0)
                await self.flows.wait()
                writer.write(data)
                await writer.drain()


class EventRelay(_Relay):
    """Between a controller and Asterisk's ARI; `fate` is that of every event."""

    def __init__(self, target: int) -> None:
        super().__init__()
        self.fate: Fate = passed_on
        self._target = target

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self._target)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            writer.write(await reader.readuntil(b"\r\n\r\n"))
            while True:
                frame, said = await _frame(reader)
                await self.flows.wait()
                event = json.loads(said) if frame[0] & 0x0F == 1 else {"type": "RESTResponse"}
                fate = (0.0,) if event["type"] == "RESTResponse" else self.fate(event)
                for delay in fate:
                    asyncio.get_running_loop().call_later(delay, _write, writer, frame)


def _write(writer: asyncio.StreamWriter, frame: bytes) -> None:
    if not writer.is_closing():
        writer.write(frame)


async def _frame(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """A frame of a WebSocket as a server sends it, whole, and what it holds."""
    head = await reader.readexactly(2)
    more = {126: 2, 127: 8}.get(head[1], 0)
    length = await reader.readexactly(more)
    said = await reader.readexactly(int.from_bytes(length) if more else head[1])
    return head + length + said, said


class SlowRelay(_Relay):
    """Between us and a server on a UNIX socket."""

    def __init__(self, target: Path) -> None:
        super().__init__()
        self._target = target

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(self._target)


@dataclass(frozen=True)
class SlowServers:
    """Relays to the two servers, and the settings of a process that reaches them so."""

    postgres: SlowRelay
    redis: SlowRelay
    settings: Settings


@asynccontextmanager
async def slow_servers(settings: Settings, folder: Path) -> AsyncIterator[SlowServers]:
    """As quick as ever until a delay is set. `folder` has a short path."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="slow-") as sockets:
        database, _, there = settings.database.partition("host=")
        postgres = SlowRelay(Path(there) / POSTGRES)
        redis = SlowRelay(Path(settings.redis.removeprefix("unix://").partition("?")[0]))
        ways = (Path(sockets) / POSTGRES, Path(sockets) / "redis.sock")
        async with (
            await asyncio.start_unix_server(postgres.carry, ways[0]),
            await asyncio.start_unix_server(redis.carry, ways[1]),
        ):
            urls = {
                "database_url": SecretStr(f"{database}host={sockets}"),
                "redis_url": SecretStr(f"unix://{ways[1]}"),
            }
            yield SlowServers(postgres, redis, settings.model_copy(update=urls))


@asynccontextmanager
async def relayed_ari(
    house: House, settings: Settings | None = None
) -> AsyncIterator[tuple[EventRelay, Settings]]:
    """A relay, and these settings, or the house's, of a controller that reaches ARI by it."""
    relay = EventRelay(house.settings.ari_port)
    async with await asyncio.start_server(relay.carry, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield relay, (settings or house.settings).model_copy(update={"ari_port": port})
