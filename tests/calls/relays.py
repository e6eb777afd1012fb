"""What stands between us and a server, and does what networks, busy machines and bugs do."""

import asyncio
import itertools
import json
import tempfile
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from pydantic import SecretStr

from callcenter.secrets import read_secret
from callcenter.settings import Settings
from tests.calls.house import House

POSTGRES = ".s.PGSQL.5432"  # the name of its socket
#: After which seconds an event is passed on, each time that it is.
Fate = Callable[[Mapping[str, Any]], Sequence[float]]
ESTABLISHED = "01"  # in /proc/net/tcp


def passed_on(_: Mapping[str, Any]) -> Sequence[float]:
    return (0.0,)


def swallowed(_: Mapping[str, Any]) -> Sequence[float]:
    return ()


def told_twice(_: Mapping[str, Any]) -> Sequence[float]:
    return (0.0, 0.4)


def told_late(_: Mapping[str, Any]) -> Sequence[float]:
    return (0.8,)


def told_out_of_order() -> Fate:
    """Each second one comes before the one that was told before it."""
    delays = itertools.cycle((0.8, 0.0))
    return lambda _: (next(delays),)


class _Relay(ABC):
    """Carries connections; while `flows` is not set nothing passes, and nobody is told."""

    def __init__(self) -> None:
        self.flows = asyncio.Event()
        self.flows.set()
        self.delay = 0.0  #: seconds that what is asked waits

    @abstractmethod
    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """To the server. Raises OSError."""

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


class _ToldRelay(_Relay):
    """Between a controller and what Asterisk tells; `fate` is that of every event."""

    def __init__(self, target: int) -> None:
        super().__init__()
        self.fate: Fate = passed_on
        self.target = target

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.target)

    def _tell(self, event: Mapping[str, Any], said: bytes, writer: asyncio.StreamWriter) -> None:
        for delay in self.fate(event):
            asyncio.get_running_loop().call_later(delay, _write, writer, said)


class EventRelay(_ToldRelay):
    """ARI. While `reads` is not set nothing is taken from Asterisk, whose memory fills with it."""

    def __init__(self, target: int) -> None:
        super().__init__(target)
        self.reads = asyncio.Event()
        self.reads.set()
        self._port = 0  # from which Asterisk was reached last

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await super()._connect()
        self._port = writer.get_extra_info("sockname")[1]
        return reader, writer

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            writer.write(await reader.readuntil(b"\r\n\r\n"))
            while True:
                await self.reads.wait()
                frame, said = await _frame(reader)
                await self.flows.wait()
                event = json.loads(said) if frame[0] & 0x0F == 1 else {"type": "RESTResponse"}
                if event["type"] == "RESTResponse":
                    _write(writer, frame)
                else:
                    self._tell(event, frame, writer)

    def is_given_up(self) -> bool:
        """Whether Asterisk has closed its side of the newest connection."""
        ends = f"{self.target:04X}", f"{self._port:04X}"
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, here, there, state, *_ = line.split()
            if (here.partition(":")[2], there.partition(":")[2]) == ends:
                return state != ESTABLISHED
        return True


class AmiRelay(_ToldRelay):
    """AMI. Answers, and the items of lists, come as they do."""

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            writer.write(await reader.readuntil(b"\r\n"))
            while True:
                said = await reader.readuntil(b"\r\n\r\n")
                await self.flows.wait()
                lines = (line.partition(": ") for line in said.decode().splitlines())
                message = {name: value for name, _, value in lines}
                if "Event" in message and "ActionID" not in message:
                    self._tell(message, said, writer)
                else:
                    _write(writer, said)


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
    async with _listening(relay) as port:
        yield relay, (settings or house.settings).model_copy(update={"ari_port": port})


async def flooded(house: House, relay: EventRelay) -> None:
    """Nothing is read, and more and more told, until Asterisk can keep no more of it.

    Returns when Asterisk has closed the connection; `reads` is to be set again.
    """
    relay.reads.clear()
    secret = read_secret(house.settings.secrets_folder, "ari")
    headers = {"Authorization": aiohttp.encode_basic_auth("callcenter", secret)}
    ari = f"http://127.0.0.1:{house.settings.ari_port}/ari"
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.get(f"{ari}/applications") as answer:
            told = await answer.json()
        names = [each["name"] for each in told if each["name"].startswith("line-")]
        body = {"variables": {"nothing": "x" * 30_000}}
        for _ in range(1000):
            for name in names:
                url = f"{ari}/events/user/nothing?application={name}"
                async with session.post(url, json=body) as answer:
                    await answer.read()
            if relay.is_given_up():
                return
    raise AssertionError("Asterisk kept 30 MB, and did not give up")


@asynccontextmanager
async def relayed_ami(house: House) -> AsyncIterator[tuple[AmiRelay, Settings]]:
    """A relay, and the settings of a controller that reaches AMI by it."""
    relay = AmiRelay(house.settings.ami_port)
    async with _listening(relay) as port:
        yield relay, house.settings.model_copy(update={"ami_port": port})


@asynccontextmanager
async def _listening(relay: _Relay) -> AsyncIterator[int]:
    async with await asyncio.start_server(relay.carry, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
