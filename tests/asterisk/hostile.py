"""Hostile SIP, as a broken or evil network sends it.

Each coroutine speaks from one address to `server` and returns the final status code that it got,
or None when it was not answered. If the switch accepts a call, it is ended again at once.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import cycle, islice
from typing import cast

from callcenter.sipphone import sdp, sip
from callcenter.sipphone.dialog import Dialog
from callcenter.sipphone.errors import NoAnswer, Refused
from callcenter.sipphone.phone import Phone
from callcenter.sipphone.sip import BadMessage, Place, Response
from tests.asterisk.switch import OPERATOR, STRANGER

#: What is not answered within this many seconds counts as not answered at all.
PATIENCE = 1.0
#: What must be answered may take so long on a machine that is busy.
LONG_PATIENCE = 20.0

Mangle = Callable[[bytes], bytes]


def _replacing(old: bytes, new: bytes) -> Mangle:
    def mangle(invite: bytes) -> bytes:
        assert old in invite, f"nothing to replace: {old!r}"
        return invite.replace(old, new, 1)

    return mangle


def _without(header: bytes) -> Mangle:
    def mangle(invite: bytes) -> bytes:
        lines = invite.split(b"\r\n")
        remaining = [line for line in lines if not line.startswith(header + b":")]
        assert len(remaining) < len(lines), f"no {header!r} to leave out"
        return b"\r\n".join(remaining)

    return mangle


def _matching(pattern: bytes, new: bytes) -> Mangle:
    def mangle(invite: bytes) -> bytes:
        mangled, found = re.subn(pattern, new, invite, count=1)
        assert found, f"nothing to replace: {pattern!r}"
        return mangled

    return mangle


def _with_header(line: bytes) -> Mangle:
    return _replacing(b"Max-Forwards: 70\r\n", b"Max-Forwards: 70\r\n" + line + b"\r\n")


def _with_media(lines: bytes) -> Mangle:
    def mangle(invite: bytes) -> bytes:
        head, _, body = invite.partition(b"\r\n\r\n")
        body += lines
        length = _matching(rb"Content-Length: \d+", b"Content-Length: %d" % len(body))
        return length(head) + b"\r\n\r\n" + body

    return mangle


def _asking_for(uri: bytes) -> Mangle:
    return _matching(rb"^INVITE \S+", b"INVITE " + uri)


#: Ways to make a good INVITE so bad that no call may come of it, and what an operator is answered.
#: Names of RFC 4475 (torture tests) are in brackets.
REFUSED: dict[str, tuple[int, Mangle]] = {
    "no Contact": (400, _without(b"Contact")),
    "a Contact of all": (400, _matching(rb"Contact: <[^>]+>", b"Contact: *")),
    "two of Replaces": (400, _with_header(b"\r\n".join([b"Replaces: a;to-tag=1;from-tag=2"] * 2))),
    "a body that is no description": (400, _replacing(b"v=0", b"\xff\xfe")),
    "a port beyond all ports": (400, _replacing(b"m=audio ", b"m=audio 99999")),
    "no address": (400, _replacing(b"c=IN IP4 127", b"c=IN IP9 x")),
    "another type of body [invut]": (415, _replacing(b"application/sdp", b"application/xml")),
    "a strange scheme in To [unksm2]": (416, _matching(rb"To: <[^>]+>", b"To: <isbn:2983792873>")),
    "a strange scheme in From": (416, _matching(rb"From: <[^>]+>", b"From: <http://example.com>")),
    "a strange scheme in Contact": (416, _matching(rb"Contact: <[^>]+>", b"Contact: <name:John>")),
    "an extension that nobody has [bext01]": (420, _with_header(b"Require: nothingSupportsThis")),
    "a call that is over": (481, _matching(rb"To: <[^>]+>", rb"\g<0>;tag=unknown")),
    "a description without sound": (488, _matching(rb"m=audio[^\r]*", b"m=text 0 RTP/AVP 98")),
    "another method in CSeq [mismatch01]": (500, _replacing(b"1 INVITE\r\n", b"1 OPTIONS\r\n")),
    "an unknown method [mismatch02]": (501, _replacing(b"INVITE sip", b"NEWMETHOD sip")),
}

#: Those that lack a header of every answer (RFC 3261, 8.2.6.2): they cannot be answered.
HEADERLESS: dict[str, Mangle] = {
    "no Via": _without(b"Via"),
    "no From": _without(b"From"),
    "no To": _without(b"To"),
    "no Call-ID": _without(b"Call-ID"),
    "no CSeq": _without(b"CSeq"),
    "hardly a header [insuf]": lambda it: _without(b"To")(
        _without(b"From")(_without(b"Call-ID")(it))
    ),
}

#: Those that PJSIP cannot read: it discards them, and says so in the log.
UNREADABLE: dict[str, Mangle] = {
    "separators too many [badinv01]": _matching(rb"Via: [^\r]+", rb"\g<0>;;,;,,"),
    "an empty Call-ID": _matching(rb"Call-ID: \S+", b"Call-ID:"),
    "a giant CSeq [scalar02]": _replacing(b"CSeq: 1 ", b"CSeq: 36893488147419103232 "),
    "a negative Content-Length [ncl]": _replacing(b"Content-Length: ", b"Content-Length: -"),
    "a Content-Length beyond 32 bits": _matching(rb"h: \d+", b"h: 4294967297"),
    "a Content-Length in letters": _matching(rb"Content-Length: \d+", b"Content-Length: many"),
    "an unclosed quote": _replacing(b"From: ", b'From: "'),
    "an unclosed quote in To [quotbal]": _replacing(b"To: <", b'To: "Mr. J. User <'),
    "no version": _replacing(b" SIP/2.0\r\n", b"\r\n"),
    "another version [badvers]": _replacing(b" SIP/2.0\r\n", b" SIP/7.0\r\n"),
    "a URI in brackets [ltgtruri]": _matching(rb"^INVITE (\S+)", rb"INVITE <\1>"),
    "a URI with a space [lwsruri]": _matching(rb"^INVITE (\S+)", rb"INVITE \1; lr"),
    "a URI of a strange scheme [unkscm]": _asking_for(b"nobodyKnowsThisScheme:opaque"),
    "a URI of another protocol [novelsc]": _asking_for(b"soap.beep://192.0.2.103:3002"),
    "a URI of a service": _asking_for(b"urn:service:counseling.children"),
    "a null in the URI": _replacing(b"sip:111@", b"sip:1\x0011@"),
    "a giant port in the URI": _replacing(b"INVITE sip:111@", b"INVITE sip:111@h:99999999@"),
    "a giant port in Via": _matching(rb"(Via: \S+ \S+?):\d+", rb"\1:99999999"),
    "another version in Via": _replacing(b"Via: SIP/2.0", b"Via: SIP/9.0"),
    "an unreadable Contact": _replacing(b"Contact: <sip:", b"Contact: <<;;"),
    "a Contact with headers [regbadct]": _matching(
        rb"Contact: <([^>]+)>", rb"Contact: \1?Route=%3C"
    ),
    "a line without a colon": _with_header(b"this line has none"),
    "half a type of body": _replacing(b"application/sdp", b"application"),
    "an unreadable Route": _with_header(b"Route: <<>>;;"),
    "an unreadable Session-Expires": _with_header(b"Session-Expires: abc"),
}

MALFORMED: dict[str, tuple[int | None, Mangle]] = {
    **REFUSED,
    **{name: (None, mangle) for name, mangle in (HEADERLESS | UNREADABLE).items()},
}

TEXT_BESIDE_SOUND = "text beside sound [RFC 4103]"
#: Ways in which an INVITE is odd or wrong, and a caller can be helped all the same.
ODD: dict[str, Mangle] = {
    "a giant Content-Length [clerr]": _replacing(b"Content-Length: ", b"Content-Length: 9999"),
    "two of Content-Length [mcl01]": _replacing(b"Content-Length: ", b"Content-Length: 5\r\nl: "),
    "no Content-Length": lambda invite: re.sub(rb"Content-Length: \d+\r\n", b"", invite),
    "no hops left [zeromf]": _replacing(b"Max-Forwards: 70", b"Max-Forwards: 0"),
    "hops beyond a byte": _replacing(b"Max-Forwards: 70", b"Max-Forwards: 300"),
    "no Max-Forwards": _without(b"Max-Forwards"),
    "no end of the headers": lambda invite: invite.partition(b"\r\n\r\n")[0],
    "an endless header": _replacing(b"User-Agent: ", b"User-Agent: " + b"a" * 8000),
    "a hundred Vias": _replacing(
        b"Via: ", b"Via: SIP/2.0/UDP 127.0.0.66;branch=z9hG4bKx\r\n" * 100 + b"Via: "
    ),
    "a description cut off": lambda invite: invite[:-60],
    "a name in no encoding": _replacing(b"From: <", b'From: "\xff\xfe\x80" <'),
    "a name that wants quotes [baddn]": _replacing(b"From: <", b"From: Bell, Alexander <"),
    "spaces in brackets [badaspec]": _matching(rb"To: <(\S+)>", rb'To: "W, T" < \1 >'),
    "spaces around the URI [lwsstart]": _matching(rb"^INVITE (\S+) SIP", rb"INVITE  \1  SIP"),
    "spaces after the version [trws]": _matching(rb"^INVITE \S+ SIP/2.0", rb"\g<0>  "),
    "headers in the URI [escruri]": _matching(rb"^INVITE \S+", rb"\g<0>?Route=%3Csip:x.com%3E"),
    "a number as the URI": _asking_for(b"tel:111"),
    "a date of another zone [baddate]": _with_header(b"Date: Fri, 01 Jan 2010 16:00:00 EST"),
    "no branch": _matching(rb";branch=\w+", b""),
    "an empty branch [badbranch]": _matching(rb"branch=\w+", b"branch=z9hG4bK"),
    "lines that end by LF alone": lambda invite: invite.replace(b"\r\n", b"\n"),
    "an answer in no language [sdp01]": _with_header(b"Accept: text/nobodyKnowsThis"),
    TEXT_BESIDE_SOUND: _with_media(b"m=text 4002 RTP/AVP 98\r\na=rtpmap:98 t140/1000\r\n"),
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
        host, port, *_ = self.transport.get_extra_info("sockname")
        return host, port

    async def final(self, patience: float = PATIENCE) -> Response | None:
        """The first final answer that comes within so many seconds."""
        try:
            async with asyncio.timeout(patience):
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
        self.address = sip.host_port(socket.place)
        uri = f"sip:{number}@{sip.host_port(server)}"
        ours = f"<sip:+77010000000@{self.address}>;tag={sip.token()}"
        self.dialog = Dialog(sip.token(), ours, f"<{uri}>", uri)

    def via(self) -> str:
        return f"SIP/2.0/UDP {self.address};rport;branch=z9hG4bK{sip.token()}"

    async def invite(
        self, mangle: Mangle, body: bytes, patience: float = PATIENCE
    ) -> Response | None:
        """Sends an INVITE, the first or another, and acknowledges what comes back."""
        contact = (("Contact", f"<sip:+77010000000@{self.address}>"),)
        good = self.dialog.request("INVITE", self.via(), headers=contact, body=(sdp.TYPE, body))
        self.socket.transport.sendto(mangle(good.render()))
        answer = await self.socket.final(patience)
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
    patience: float = PATIENCE,
) -> int | None:
    """Sends an INVITE after it was mangled; `body` replaces the session description."""
    async with _speaking_from(address, server) as socket:
        leg = _Leg(socket, server, number)
        answer = await leg.invite(mangle, _description(address) if body is None else body, patience)
        if answer is not None and answer.status < 300:
            await leg.bye()
        return None if answer is None else answer.status


async def invite_with_text(server: Place) -> dict[bytes, int]:
    """Sends an INVITE that offers text beside sound; returns the ports of the answer by medium."""
    async with _speaking_from(OPERATOR, server) as socket:
        leg = _Leg(socket, server, "111")
        answer = await leg.invite(ODD[TEXT_BESIDE_SOUND], _description(OPERATOR))
        assert answer is not None
        await leg.bye()
    media = re.findall(rb"^m=(\w+) (\d+)", answer.body, re.MULTILINE)
    return {medium: int(port) for medium, port in media}


async def malformed_invites(server: Place) -> dict[str, int | None]:
    """Sends one INVITE of each kind of MALFORMED at once; returns the answers."""
    answers = await asyncio.gather(
        *(
            invite(server, mangle=mangle, patience=LONG_PATIENCE if expected else PATIENCE)
            for expected, mangle in MALFORMED.values()
        )
    )
    return dict(zip(MALFORMED, answers, strict=True))


async def flood(server: Place, count: int) -> None:
    """Sends so many INVITEs that PJSIP discards, as fast as a stranger's machine can."""
    async with _speaking_from(STRANGER, server) as socket:
        leg = _Leg(socket, server, "111")
        contact = (("Contact", f"<sip:+77010000000@{leg.address}>"),)
        body = (sdp.TYPE, _description(STRANGER))
        good = leg.dialog.request("INVITE", leg.via(), headers=contact, body=body).render()
        discarded = [mangle(good) for mangle in (HEADERLESS | UNREADABLE).values()]
        for datagram in islice(cycle(discarded), count):
            socket.transport.sendto(datagram)
            await asyncio.sleep(0)


async def merged_invite(server: Place, *, address: str = OPERATOR) -> dict[bool, int]:
    """One INVITE comes on two ways; returns the answers, by whether they are to the first."""
    async with _speaking_from(address, server) as socket:
        leg = _Leg(socket, server, "111")
        contact = (("Contact", f"<sip:+77010000000@{leg.address}>"),)
        body = (sdp.TYPE, _description(address))
        one = leg.dialog.request("INVITE", leg.via(), headers=contact, body=body)
        other = one.render().replace(one.branch.encode(), f"z9hG4bK{sip.token()}".encode())
        answers: dict[bool, int] = {}
        for data in (one.render(), other):
            socket.transport.sendto(data)
            answer = await socket.final()
            while answer is not None and (answer.branch == one.branch) in answers:
                answer = await socket.final()  # it is repeated until it is acknowledged
            if answer is not None:
                answers[answer.branch == one.branch] = answer.status
                if answer.status < 300:
                    leg.dialog.learn(answer)
                    ack = leg.dialog.request("ACK", leg.via(), cseq=one.cseq[0])
                    socket.transport.sendto(ack.render())
        await leg.bye()
        return answers


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
    offered, unsupported = (
        b"a=rtpmap:8 PCMA/8000",
        b"a=rtpmap:18 G729/8000\r\na=rtpmap:99 HUMBUG/8000",
    )
    return _replacing(offered, unsupported)(strange)


async def invite_with_late_offer(server: Place, *, address: str = OPERATOR) -> int | None:
    """Leaves the offer to the switch and answers it in the ACK, as RFC 3261 allows."""
    return await _call(Phone(address=address, server=server), with_offer=False)


async def invite_without_any_description(server: Place, *, address: str = OPERATOR) -> int | None:
    """No offer, and no answer to theirs either: the ACK is empty."""
    return await invite(server, body=b"", address=address, mangle=_without(b"Content-Type"))


async def stranger_calls(server: Place, number: str = "111") -> int:
    """Somebody unknown calls, and has no password when asked. Raises NoAnswer after PATIENCE."""
    status = await _call(Phone(address=STRANGER, server=server, user="1001"), number)
    if status is None:
        raise NoAnswer("a stranger's call was not answered")
    return status


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
