"""What stands between us and a server, and does what networks, busy machines and bugs do."""

import asyncio
import itertools
import json
import socket
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from pydantic import SecretStr

from callcenter.platform.core.secrets import read_secret
from callcenter.platform.core.settings import Settings
from tests.calls.call_center import CallCenter
from tests.streams import open_stream, port_of, stream_server

POSTGRES = ".s.PGSQL.5432"  # the name of its socket
#: After which seconds an event is passed on, each time that it is.
Fate = Callable[[Mapping[str, Any]], Sequence[float]]
ESTABLISHED = "01"  # in /proc/net/tcp
RECEIVE_BUFFER = (
    65536  # bytes that the kernel keeps for us: by itself it would keep 32 MB of events
)
FLOOD = 60.0  # seconds within which Asterisk gives up


def passed_on(_: Mapping[str, Any]) -> Sequence[float]:
    return (0.0,)


def swallowed(_: Mapping[str, Any]) -> Sequence[float]:
    return ()


def delivered_twice(_: Mapping[str, Any]) -> Sequence[float]:
    return (0.0, 0.4)


def delivered_late(_: Mapping[str, Any]) -> Sequence[float]:
    return (0.8,)


def delivered_out_of_order() -> Fate:
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
        """For `stream_server`."""
        with suppress(OSError):  # nobody is there
            async with open_stream(self._connect()) as (there, back):
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


class _EventfulRelay(_Relay):
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


class EventRelay(_EventfulRelay):
    """ARI. While `reads` is not set nothing is taken from Asterisk, whose memory fills with it."""

    def __init__(self, target: int) -> None:
        super().__init__(target)
        self.reads = asyncio.Event()
        self.reads.set()
        self._newest = 0  # the port from which Asterisk was reached last
        self._port = 0  # the same of the last connection for events

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        line = socket.socket()
        line.setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER
        )  # counts before it connects
        line.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(line, ("127.0.0.1", self.target))
        except BaseException:  # nobody is there, or the relay ends
            line.close()
            raise
        reader, writer = await asyncio.open_connection(sock=line)
        self._newest = writer.get_extra_info("sockname")[1]
        return reader, writer

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(head)
            if b"upgrade: websocket" not in head.lower():  # a list
                await self._pass(reader, writer)
                return
            self._port = self._newest
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
        """Whether Asterisk has closed its side of the newest connection for events."""
        ends = f"{self.target:04X}", f"{self._port:04X}"
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, here, there, state, *_ = line.split()
            if (here.partition(":")[2], there.partition(":")[2]) == ends:
                return state != ESTABLISHED
        return True


class AmiRelay(_EventfulRelay):
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
        place = urlsplit(settings.redis)
        redis = SlowRelay(Path(place.path))
        ways = (Path(sockets) / POSTGRES, Path(sockets) / "redis.sock")
        async with (
            stream_server(postgres.carry, ways[0]),
            stream_server(redis.carry, ways[1]),
        ):
            urls = {
                "database_url": SecretStr(f"{database}host={sockets}"),
                "redis_url": SecretStr(place._replace(path=str(ways[1])).geturl()),
            }
            yield SlowServers(postgres, redis, settings.model_copy(update=urls))


@asynccontextmanager
async def relayed_ari(
    call_center: CallCenter, settings: Settings | None = None
) -> AsyncIterator[tuple[EventRelay, Settings]]:
    """A relay, and these settings, or the call center's, of a controller that reaches ARI by it."""
    relay = EventRelay(call_center.settings.ari_port)
    async with _listening(relay) as port:
        yield relay, (settings or call_center.settings).model_copy(update={"ari_port": port})


async def flooded(call_center: CallCenter, relay: EventRelay) -> None:
    """Nothing is read, and more and more told, until Asterisk can keep no more of it.

    Returns when Asterisk has closed the connection; `reads` is to be set again.
    """
    relay.reads.clear()
    secret = read_secret(call_center.settings.secrets_folder, "ari")
    headers = {"Authorization": aiohttp.encode_basic_auth("callcenter", secret)}
    ari = f"http://127.0.0.1:{call_center.settings.ari_port}/ari"
    async with aiohttp.ClientSession(headers=headers) as session:
        applications = await call_center.switch.applications()
        names = [each for each in applications if each.startswith("line-")]
        body = {"variables": {"nothing": "x" * 30_000}}
        assert names, "no controller listens"
        sent, until = 0, time.monotonic() + FLOOD
        while time.monotonic() < until:
            for name in names:
                url = f"{ari}/events/user/nothing?application={name}"
                async with session.post(url, json=body) as answer:
                    await answer.read()
            sent += 1
            if relay.is_given_up():
                return
    raise AssertionError(f"Asterisk kept {sent * 30} KB, and did not give up")


@asynccontextmanager
async def relayed_ami(call_center: CallCenter) -> AsyncIterator[tuple[AmiRelay, Settings]]:
    """A relay, and the settings of a controller that reaches AMI by it."""
    relay = AmiRelay(call_center.settings.ami_port)
    async with _listening(relay) as port:
        yield relay, call_center.settings.model_copy(update={"ami_port": port})


@asynccontextmanager
async def _listening(relay: _Relay) -> AsyncIterator[int]:
    async with stream_server(relay.carry) as server:
        yield port_of(server)
