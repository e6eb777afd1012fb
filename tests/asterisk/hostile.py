"""Hostile SIP: what a broken or evil network sends to a switch.

Each coroutine speaks from one address to `server` and returns the final status code that it got,
or None when it was not answered. If the switch accepts a call, it is ended again at once.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

from callcenter.demo import sdp, sip
from callcenter.demo.dialog import Dialog
from callcenter.demo.faults import NoAnswer, Refused
from callcenter.demo.phone import Phone
from callcenter.demo.sip import BadMessage, Place, Response
from tests.asterisk.switch import OPERATOR, STRANGER

#: What is not answered within this many seconds counts as not answered at all.
PATIENCE = 1.0

Mangle = Callable[[bytes], bytes]


def _replacing(old: bytes, new: bytes) -> Mangle:
    def mangle(invite: bytes) -> bytes:
        assert old in invite, f"nothing to replace: {old!r}"
        return invite.replace(old, new, 1)

    return mangle


def _without(header: bytes) -> Mangle:
    def mangle(invite: bytes) -> bytes:
        lines = invite.split(b"\r\n")
        kept = [line for line in lines if not line.startswith(header + b":")]
        assert len(kept) < len(lines), f"no {header!r} to leave out"
        return b"\r\n".join(kept)

    return mangle


#: Ways to make a good INVITE so bad that no call may come of it, by name.
MALFORMED: dict[str, Mangle] = {
    "no Via": _without(b"Via"),
    "no From": _without(b"From"),
    "no To": _without(b"To"),
    "no Call-ID": _without(b"Call-ID"),
    "no CSeq": _without(b"CSeq"),
    "no Contact": _without(b"Contact"),
    "an unreadable Contact": _replacing(b"Contact: <sip:", b"Contact: <<;;"),
    "another method in CSeq": _replacing(b"1 INVITE\r\n", b"1 BYE\r\n"),
    "a giant CSeq": _replacing(b"CSeq: 1 ", b"CSeq: 99999999999999999999 "),
    "a negative Content-Length": _replacing(b"Content-Length: ", b"Content-Length: -"),
    "an unclosed quote": _replacing(b"From: ", b'From: "'),
    "no version": _replacing(b" SIP/2.0\r\n", b"\r\n"),
    "another version": _replacing(b" SIP/2.0\r\n", b" SIP/9.9\r\n"),
    "a null in the URI": _replacing(b"sip:111@", b"sip:1\x0011@"),
    "a giant port in the URI": _replacing(b"INVITE sip:111@", b"INVITE sip:111@h:99999999@"),
    "another type of body": _replacing(b"application/sdp", b"application/xml"),
    "a body that is no description": _replacing(b"v=0", b"\xff\xfe"),
    "a port beyond all ports": _replacing(b"m=audio ", b"m=audio 99999"),
    "no address": _replacing(b"c=IN IP4 127", b"c=IN IP9 x"),
}

#: Ways in which an INVITE is odd or wrong, and a caller can be helped all the same.
ODD: dict[str, Mangle] = {
    "a giant Content-Length": _replacing(b"Content-Length: ", b"Content-Length: 9999"),
    "no hops left": _replacing(b"Max-Forwards: 70", b"Max-Forwards: 0"),
    "no end of the headers": lambda invite: invite.partition(b"\r\n\r\n")[0],
    "an endless header": _replacing(b"User-Agent: ", b"User-Agent: " + b"a" * 8000),
    "a hundred Vias": _replacing(
        b"Via: ", b"Via: SIP/2.0/UDP 127.0.0.66;branch=z9hG4bKx\r\n" * 100 + b"Via: "
    ),
    "a description cut off": lambda invite: invite[:-60],
    "a name in no encoding": _replacing(b"From: <", b'From: "\xff\xfe\x80" <'),
    "sixty kilobytes": _replacing(b"User-Agent: ", b"X-Note: " + b"a\r\nX-Note: " * 5000),
}


class _Socket(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.received: asyncio.Queue[bytes] = asyncio.Queue()
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()

    def datagram_received(self, data: bytes, addr: Place) -> None:
        self.received.put_nowait(data)

    @property
    def place(self) -> Place:
        host, port = self.transport.get_extra_info("sockname")
        return host, port

    async def final(self) -> Response | None:
        """The first final answer that comes within PATIENCE."""
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    try:
                        message = sip.parse(await self.received.get())
                    except BadMessage:
                        continue
                    if isinstance(message, Response) and message.status >= 200:
                        return message
        except TimeoutError:
            return None


@asynccontextmanager
async def _speaking_from(address: str, server: Place) -> AsyncIterator[_Socket]:
    socket = _Socket()
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(lambda: socket, local_addr=(address, 0), remote_addr=server)
    try:
        yield socket
    finally:
        socket.transport.close()
        await socket.closed.wait()


async def garbage(server: Place, datagrams: list[bytes], *, address: str = STRANGER) -> int | None:
    """Sends datagrams as they are."""
    async with _speaking_from(address, server) as socket:
        for datagram in datagrams:
            socket.transport.sendto(datagram)
        answer = await socket.final()
        return None if answer is None else answer.status


class _Leg:
    """A call that is spoken by hand, so that it can be spoken wrongly."""

    def __init__(self, socket: _Socket, server: Place, number: str) -> None:
        self.socket = socket
        self.address = f"{socket.place[0]}:{socket.place[1]}"
        uri = f"sip:{number}@{server[0]}:{server[1]}"
        ours = f"<sip:+77010000000@{socket.place[0]}>;tag={sip.token()}"
        self.dialog = Dialog(sip.token(), ours, f"<{uri}>", uri)

    def via(self) -> str:
        return f"SIP/2.0/UDP {self.address};rport;branch=z9hG4bK{sip.token()}"

    async def invite(self, mangle: Mangle, body: bytes) -> Response | None:
        """Sends an INVITE, the first or another, and acknowledges what comes back."""
        contact = (("Contact", f"<sip:+77010000000@{self.address}>"),)
        good = self.dialog.request("INVITE", self.via(), headers=contact, body=(sdp.TYPE, body))
        self.socket.transport.sendto(mangle(good.render()))
        answer = await self.socket.final()
        if answer is None:
            return None
        if answer.status < 300:
            self.dialog.learn(answer)
            via = self.via()
        else:
            self.dialog.remote = answer.need("To")
            via = good.every("Via")[0]
        ack = self.dialog.request("ACK", via, cseq=good.cseq[0])
        self.socket.transport.sendto(ack.render())
        return answer

    async def bye(self) -> None:
        self.socket.transport.sendto(self.dialog.request("BYE", self.via()).render())
        await self.socket.final()


async def invite(
    server: Place,
    *,
    number: str = "111",
    mangle: Mangle = lambda good: good,
    body: bytes | None = None,
    address: str = OPERATOR,
) -> int | None:
    """Sends an INVITE after it was mangled; `body` replaces the session description."""
    async with _speaking_from(address, server) as socket:
        leg = _Leg(socket, server, number)
        answer = await leg.invite(mangle, _description(address) if body is None else body)
        if answer is not None and answer.status < 300:
            await leg.bye()
        return None if answer is None else answer.status


async def reinvite_with_unknown_codecs(server: Place, *, address: str = OPERATOR) -> int | None:
    """Calls properly, and then wants to go on in a codec that nobody has."""
    async with _speaking_from(address, server) as socket:
        leg = _Leg(socket, server, "111")
        await leg.invite(lambda good: good, _description(address))
        remote = leg.dialog.remote
        answer = await leg.invite(lambda good: good, _strange_description(address))
        leg.dialog.remote = remote
        await leg.bye()
        return None if answer is None else answer.status


async def invite_with_unknown_codecs(server: Place, *, address: str = OPERATOR) -> int | None:
    """Offers G.729 and something that does not exist."""
    return await invite(server, body=_strange_description(address), address=address)


def _description(address: str) -> bytes:
    return sdp.offer((address, 4000), ["PCMA"], version=1)


def _strange_description(address: str) -> bytes:
    strange = _replacing(b"RTP/AVP 8 101", b"RTP/AVP 18 99")(_description(address))
    known, unknown = b"a=rtpmap:8 PCMA/8000", b"a=rtpmap:18 G729/8000\r\na=rtpmap:99 HUMBUG/8000"
    return _replacing(known, unknown)(strange)


async def invite_with_late_offer(server: Place, *, address: str = OPERATOR) -> int | None:
    """Leaves the offer to the switch and answers it in the ACK, as RFC 3261 allows."""
    return await _call(Phone(address=address, server=server), with_offer=False)


async def invite_without_any_description(server: Place, *, address: str = OPERATOR) -> int | None:
    """No offer, and no answer to theirs either: the ACK is empty."""
    return await invite(server, body=b"", address=address, mangle=_without(b"Content-Type"))


async def stranger_calls(server: Place, number: str = "111") -> int | None:
    """Somebody unknown calls, and has no password when asked."""
    return await _call(Phone(address=STRANGER, server=server, user="1001"), number)


async def stranger_registers(server: Place, user: str = "1001") -> int | None:
    """Somebody tries to be a consultant with a guessed password."""
    async with Phone(address=STRANGER, server=server, user=user, password="1234") as phone:
        try:
            await phone.register()
        except Refused as exc:
            return exc.status
        except NoAnswer:
            return None
        return 200


async def _call(phone: Phone, number: str = "111", *, with_offer: bool = True) -> int | None:
    async with phone:
        call = await phone.call(number, sdp=with_offer)
        try:
            await call.answered(PATIENCE)
        except Refused as exc:
            return exc.status
        except TimeoutError:
            return None
        return 200
