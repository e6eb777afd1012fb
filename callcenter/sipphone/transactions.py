"""SIP transactions over UDP (RFC 3261, part 17): retransmissions, one response each.

One socket for both roles. Requests are repeated until answered; repeated requests get the same
answer again; final answers to INVITE are repeated until acknowledged.
"""

import asyncio
import os
import socket
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from callcenter.sipphone.errors import CallOver, NoAnswer
from callcenter.sipphone.sip import BadMessage, Place, Request, Response, parse

T1 = 0.5
T2 = 4.0
GIVE_UP = 64 * T1

_REMEMBERED = 1024  # answers and acknowledgements copied for repetitions

_Key = tuple[str, str]  # branch and method
#: What was said in a transaction, and to whom; None while nothing was said.
_Memory = OrderedDict[_Key, tuple[bytes, Place] | None]


class _Repetition:
    """Calls `send` now and at growing intervals, until stopped or `GIVE_UP` has passed."""

    def __init__(self, send: Callable[[], None], longest: float) -> None:
        self._send, self._longest = send, longest
        self._loop = asyncio.get_running_loop()
        self._ends = self._loop.time() + GIVE_UP
        self._interval = T1
        send()
        self._timer = self._loop.call_later(T1, self._again)

    def _again(self) -> None:
        self._send()
        self._interval = min(2 * self._interval, self._longest)
        if self._loop.time() + self._interval < self._ends:
            self._timer = self._loop.call_later(self._interval, self._again)

    def stop(self) -> None:
        self._timer.cancel()


@dataclass(eq=False, slots=True)
class _PendingTransaction:
    """A request of ours that has no final answer yet."""

    request: Request
    to: Place
    repetition: _Repetition
    answer: asyncio.Future[Response]
    on_progress: Callable[[Response], None] | None
    heard_of: asyncio.Event


class Transactions(asyncio.DatagramProtocol):
    """One UDP socket that speaks SIP. Other datagrams are counted in `garbage`."""

    def __init__(self, on_request: Callable[[Request, Place], None]) -> None:
        self.garbage = 0
        self._on_request = on_request
        self._transport: asyncio.DatagramTransport | None = None
        self._closed = asyncio.Event()
        self._pending: dict[_Key, _PendingTransaction] = {}
        self._unacknowledged: dict[str, _Repetition] = {}
        self._acks: _Memory = OrderedDict()
        self._answers: _Memory = OrderedDict()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def duplicate_socket(self) -> socket.socket:
        """Another descriptor of the socket, which whoever reads many datagrams at once closes."""
        transport = cast(asyncio.DatagramTransport, self._transport)
        return socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))

    def error_received(self, exc: Exception) -> None:
        """A port unreachable: the repetitions and their time-out deal with it."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed.set()

    async def close(self) -> None:
        """Free the socket; pending requests raise CallOver."""
        for pending in self._pending.values():
            pending.repetition.stop()
            pending.heard_of.set()
            if not pending.answer.done():
                pending.answer.set_exception(CallOver("the telephone was switched off"))
        for repetition in self._unacknowledged.values():
            repetition.stop()
        if self._transport is not None:
            self._transport.close()
            await self._closed.wait()

    async def request(
        self, request: Request, to: Place, on_progress: Callable[[Response], None] | None = None
    ) -> Response:
        """Sends a request and returns its final answer; `on_progress` gets the provisional ones.

        A refused INVITE is acknowledged here, an accepted one by the caller (see `acknowledge`).
        Raises NoAnswer after 32 s of silence. An INVITE that has a provisional answer is waited
        for without limit. Cancellation only stops the waiting: send CANCEL yourself.
        """
        invite = request.method == "INVITE"
        data = request.render()
        pending = _PendingTransaction(
            request,
            to,
            _Repetition(lambda: self._send(data, to), GIVE_UP if invite else T2),
            asyncio.get_running_loop().create_future(),
            on_progress,
            asyncio.Event(),
        )
        key = (request.branch, request.method)
        self._pending[key] = pending
        try:
            async with asyncio.timeout(GIVE_UP):
                await pending.heard_of.wait() if invite else await pending.answer
            return await pending.answer
        except TimeoutError as exc:
            raise NoAnswer(
                f"nothing at {to[0]}:{to[1]} answered {request.method} in {GIVE_UP:.0f} s:"
                " is the switch running, and does it listen there?"
            ) from exc
        finally:
            pending.repetition.stop()
            self._pending.pop(key, None)

    def acknowledge(self, invite: Request, ack: Request, to: Place) -> None:
        """Sends an ACK now, and again whenever the answer to `invite` is repeated."""
        data = ack.render()
        _remember(self._acks, (invite.branch, "INVITE"), (data, to))
        self._send(data, to)

    def respond(self, request: Request, response: Response, to: Place) -> None:
        """Answers a request, and its repetitions with the same."""
        data = response.render()
        _remember(self._answers, (request.branch, request.method), (data, to))
        if request.method == "INVITE" and response.status >= 200:
            self._settle(request)
            self._unacknowledged[_dialog_key(request)] = _Repetition(
                lambda: self._send(data, to), T2
            )
        else:
            self._send(data, to)

    def _settle(self, request: Request) -> None:
        repetition = self._unacknowledged.pop(_dialog_key(request), None)
        if repetition is not None:
            repetition.stop()

    def _send(self, data: bytes, to: Place) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data, to)

    def _repeat(self, memory: _Memory, key: _Key) -> None:
        said = memory.get(key)
        if said is not None:
            self._send(*said)

    def datagram_received(self, data: bytes, addr: Place) -> None:
        if not data.strip(b"\r\n\0"):
            return  # a keep-alive
        try:
            message = parse(data)
        except BadMessage:
            self.garbage += 1
            return
        if isinstance(message, Response):
            self._take_response(message)
        else:
            self._take_request(message, (addr[0], addr[1]))

    def _take_request(self, request: Request, origin: Place) -> None:
        if request.method == "ACK":
            self._settle(request)
            self._on_request(request, origin)
            return
        key = (request.branch, request.method)
        if key in self._answers:
            self._repeat(self._answers, key)
            return
        _remember(self._answers, key, None)
        self._on_request(request, origin)

    def _take_response(self, response: Response) -> None:
        key = (response.branch, response.cseq[1])
        pending = self._pending.get(key)
        if pending is None or pending.answer.done():
            if response.status >= 200:
                self._repeat(self._acks, key)
            return
        pending.heard_of.set()
        if response.status < 200:
            if pending.request.method == "INVITE":
                pending.repetition.stop()
            if pending.on_progress is not None:
                pending.on_progress(response)
            return
        pending.repetition.stop()
        if pending.request.method == "INVITE" and response.status >= 300:
            self.acknowledge(
                pending.request, _ack_of_refusal(pending.request, response), pending.to
            )
        pending.answer.set_result(response)


def _ack_of_refusal(invite: Request, response: Response) -> Request:
    """The ACK that belongs to the transaction itself (RFC 3261, 17.1.1.3)."""
    copied = tuple(
        (name, value)
        for name, value in invite.headers
        if name in ("Max-Forwards", "From", "Call-ID", "Route")
    )
    headers = (
        ("Via", invite.every("Via")[0]),
        *copied,
        ("To", response.need("To")),
        ("CSeq", f"{invite.cseq[0]} ACK"),
    )
    return Request("ACK", invite.uri, headers=headers)


def _dialog_key(request: Request) -> str:
    return f"{request.cseq[0]} {request.call_id}"


def _remember(memory: _Memory, key: _Key, said: tuple[bytes, Place] | None) -> None:
    memory[key] = said
    while len(memory) > _REMEMBERED:
        memory.popitem(last=False)
