"""Network between simulated processes and servers: in order, late, cut, never corrupt.

As with TCP, what is sent while the way is cut arrives after it, unless the connection was closed
before. `ClientSession` and `TCPConnector` stand in for those of aiohttp in the client of ARI.
"""

import asyncio
import socket
import types
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp

from tests.seeds import SeededRandom
from tests.simulation.host import SimulatedProcess
from tests.simulation.loop import PROCESS, VirtualLoop

LATENCY = 0.0004  # seconds on the way, on a machine that is quiet
RETRANSMISSION = 0.2  # seconds at most from the end of a cut until what was sent in it arrives


@dataclass(frozen=True, slots=True)
class Trouble:
    """A time in which what a process sends and receives is late, or waits for the end of a cut."""

    begins: float
    ends: float
    process: str  #: its name
    delay: float  #: seconds; 0: the way is cut
    server: str = "switch"
    is_at_server: bool = False  #: what was sent is there, and the server takes it in late


class Network:
    """All ways of the simulated machine."""

    def __init__(self, loop: VirtualLoop, random: SeededRandom) -> None:
        self.loop = loop
        self.troubles: list[Trouble] = []
        self._links: list[Link] = []
        self._random = random

    def add_link(self, link: "Link") -> None:
        self._links = [each for each in self._links if each.is_open]
        self._links.append(link)

    def end_process(self, process: SimulatedProcess) -> None:
        """Close the connections of a process that has ended, as its kernel does."""
        for each in self._links:
            if each.process is process:
                each.close_client()

    def is_cut(self, process: SimulatedProcess) -> bool:
        """Whether nothing passes between it and the switch now."""
        now = self.loop.now
        return any(
            (each.process, each.server, each.delay) == (process.name, "switch", 0.0)
            and each.begins <= now < each.ends
            for each in self.troubles
        )

    def is_troubled(self, process: SimulatedProcess, *, since: float) -> bool:
        """Whether it was late or cut off at any moment from `since` on."""
        return any(
            each.process == process.name and each.ends >= since and each.begins <= self.loop.now
            for each in self.troubles
        )

    def arrival(self, process: SimulatedProcess, server: str) -> float:
        """When what is sent now between these two arrives."""
        now, trouble = self.loop.now, self._trouble(process, server)
        if trouble is None:
            return now + LATENCY * self._random.uniform(0.5, 1.5)
        if trouble.delay:
            return now + self._random.uniform(0, 2 * trouble.delay)
        return trouble.ends + self._random.uniform(0, RETRANSMISSION)

    def is_passed_on(self, process: SimulatedProcess, server: str) -> bool:
        """Whether what is sent now is out of the sender's hands at once, however late it is."""
        trouble = self._trouble(process, server)
        return trouble is not None and trouble.is_at_server

    def _trouble(self, process: SimulatedProcess, server: str) -> Trouble | None:
        """What befalls their way now: a cut before delays, the one that ends last."""
        now = self.loop.now
        troubles = [
            each
            for each in self.troubles
            if (each.process, each.server) == (process.name, server)
            and each.begins <= now < each.ends
        ]
        return max(troubles, key=lambda each: (not each.delay, each.ends), default=None)

    async def call(self, server: str, work: Callable[[], Any]) -> Any:
        """Have a server do something; return the result. Raises what it raises."""
        process = running_process()
        answer: asyncio.Future[Any] = self.loop.create_future()

        def settle(result: Any, fault: Exception | None) -> None:
            if not answer.done():
                if fault is None:
                    answer.set_result(result)
                else:
                    answer.set_exception(fault)

        def serve() -> None:
            result, fault = None, None
            try:
                result = work()
            except Exception as exc:
                fault = exc
            back = self.arrival(process, server)
            self.loop.call_at(back, settle, result, fault, context=process.context)

        self.loop.outside_at(self.arrival(process, server), serve)
        return await answer


def running_process() -> SimulatedProcess:
    """The process that runs now."""
    process = PROCESS.get()
    assert isinstance(process, SimulatedProcess), "nothing of the outside world calls a server"
    return process


class Session(Protocol):
    """The server's side of a WebSocket."""

    def receive(self, text: str, sent_at: float, *, is_given_up: bool) -> None: ...

    def close(self) -> None: ...


class Listener(Protocol):
    """A server to which WebSockets are connected, and which is asked for lists."""

    def accept(self, application: str, link: "Link") -> Session | int:
        """Take a connection; a number is the HTTP status with which it is refused."""

    def list_of(self, kind: str) -> tuple[int, str]:
        """HTTP status and body of a list."""


class Link:
    """One WebSocket between a process and a server; both sides send in order."""

    def __init__(self, network: Network, process: SimulatedProcess, server: str) -> None:
        self.process = process
        self.is_open = True  #: for the client
        self.drops_unsent = False  #: when the client closes it
        self._closed_at = 0.0
        self.session: Session | None = None
        self._network = network
        self._server = server
        self._to_server = self._to_client = 0.0
        self.client: ClientSocket | None = None
        network.add_link(self)

    def send_to_server(self, text: str) -> None:
        now = self._network.loop.now
        self._to_server = max(self._to_server, self._network.arrival(self.process, self._server))
        is_passed_on = self._network.is_passed_on(self.process, self._server)
        self._network.loop.outside_at(self._to_server, self._at_server, text, now, is_passed_on)

    def _at_server(self, text: str, sent_at: float, is_passed_on: bool) -> None:
        is_given_up = not self.is_open and not is_passed_on
        is_unsent = is_given_up and self._network.loop.now > self._closed_at + 2 * LATENCY
        if self.session is None or (self.drops_unsent and is_unsent):
            return
        if text == "ping":
            self.send_to_client("pong")
        else:
            self.session.receive(text, sent_at, is_given_up=is_given_up)

    def send_to_client(self, text: str) -> None:
        self._to_client = max(self._to_client, self._network.arrival(self.process, self._server))
        client = self.client
        if client is not None:
            self._network.loop.call_at(
                self._to_client, client.take, text, context=self.process.context
            )

    def close_client(self) -> None:
        """The client closes it, or has died: the server learns it as it learns all else."""
        if self.is_open:
            self.is_open, self._closed_at = False, self._network.loop.now
            self._to_server = max(
                self._to_server, self._network.arrival(self.process, self._server)
            )
            self._network.loop.outside_at(self._to_server, self._end_session)

    def _end_session(self) -> None:
        session, self.session = self.session, None
        if session is not None:
            session.close()

    def close_server(self) -> None:
        """The server has gone, and the client learns it."""
        self.session = None
        if self.client is not None:
            arrives = self._network.arrival(self.process, self._server)
            self._network.loop.call_at(arrives, self.client.break_off, context=self.process.context)


class RawSocket:
    """The socket of a connection, of whose options one counts: SO_LINGER of no time."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def setsockopt(self, level: int, option: int, value: bytes) -> None:
        if (level, option) == (socket.SOL_SOCKET, socket.SO_LINGER):
            self._link.drops_unsent = True


class ClientSocket:
    """The client's side, in place of `aiohttp.ClientWebSocketResponse`."""

    def __init__(self, link: Link, loop: VirtualLoop, heartbeat: float) -> None:
        self._link = link
        self._loop = loop
        self._heartbeat = heartbeat
        self._messages: deque[str] = deque()
        self._changed = asyncio.Event()
        self._is_closed = False
        self._pong_due: asyncio.TimerHandle | None = None
        self._ping_due = loop.call_later(heartbeat, self._ping)
        link.client = self

    def take(self, text: str) -> None:
        if self._is_closed:
            return
        if self._pong_due is not None:
            self._pong_due.cancel()
            self._pong_due = None
        if text != "pong":
            self._messages.append(text)
            self._changed.set()

    def break_off(self) -> None:
        """End it: the peer has gone, or is silent."""
        self._is_closed = True
        self._ping_due.cancel()
        if self._pong_due is not None:
            self._pong_due.cancel()
        self._link.close_client()
        self._changed.set()

    def _ping(self) -> None:
        self._ping_due = self._loop.call_later(self._heartbeat, self._ping)
        self._link.send_to_server("ping")
        if self._pong_due is None:
            self._pong_due = self._loop.call_later(self._heartbeat / 2, self.break_off)

    async def send_str(self, text: str) -> None:
        if self._is_closed:
            raise aiohttp.ClientConnectionResetError("Cannot write to closing transport")
        self._link.send_to_server(text)

    def get_extra_info(self, name: str) -> RawSocket:
        return RawSocket(self._link)

    def __aiter__(self) -> "ClientSocket":
        return self

    async def __anext__(self) -> types.SimpleNamespace:
        while not self._messages:
            if self._is_closed:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        return types.SimpleNamespace(type=aiohttp.WSMsgType.TEXT, data=self._messages.popleft())

    async def close(self) -> None:
        self.break_off()


class _Answer:
    """The answer to a request for a list."""

    def __init__(self, status: int, body: str) -> None:
        self.status = status
        self.reason = ""
        self._body = body

    async def text(self) -> str:
        return self._body


class _Asking:
    """A request for a list, which is sent when it is entered."""

    def __init__(self, network: Network, switch: Listener, kind: str) -> None:
        self._network = network
        self._switch = switch
        self._kind = kind

    async def __aenter__(self) -> _Answer:
        status, body = await self._network.call("switch", lambda: self._switch.list_of(self._kind))
        if not status:
            raise aiohttp.ClientConnectionError("nobody listens there")
        return _Answer(status, body)

    async def __aexit__(self, *_: object) -> None:
        pass


class SessionFactory:
    """Makes what stands in for `aiohttp.ClientSession`."""

    def __init__(self, network: Network, switch: Listener) -> None:
        self.network = network
        self.switch = switch

    def __call__(self, *, headers: Mapping[str, str], connector: object) -> "ClientSession":
        return ClientSession(self)


class ClientSession:
    """In place of `aiohttp.ClientSession`: one WebSocket, and lists by HTTP."""

    def __init__(self, factory: SessionFactory) -> None:
        self._factory = factory

    async def __aenter__(self) -> "ClientSession":
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def ws_connect(self, url: str, *, heartbeat: float, **_: object) -> ClientSocket:
        network, switch = self._factory.network, self._factory.switch
        process = running_process()
        link = Link(network, process, "switch")
        application = url.partition("app=")[2].partition("&")[0]
        client = ClientSocket(link, network.loop, heartbeat)

        def accept() -> Session | int:
            if not link.is_open:
                return 0
            answer = switch.accept(application, link)
            if not isinstance(answer, int):
                link.session = answer
            return answer

        try:
            answer = await network.call("switch", accept)
        except asyncio.CancelledError:
            client.break_off()
            raise
        if isinstance(answer, int):
            client.break_off()
            raise aiohttp.ClientConnectionError(f"HTTP {answer}")
        return client

    def get(self, url: str, *, timeout: aiohttp.ClientTimeout) -> _Asking:
        kind = url.rpartition("/")[2]
        assert timeout.total is None, "who asks counts the turns of its loop"
        return _Asking(self._factory.network, self._factory.switch, kind)
