"""Datagrams of HEP as Asterisk sends them, and the INVITEs and answers that they carry."""

import struct
from datetime import UTC, datetime
from ipaddress import ip_address

PASSWORD = "secret-of-hep"
OPERATOR = "127.0.0.2"


def chunk(kind: int, value: bytes, vendor: int = 0) -> bytes:
    return struct.pack("!HHH", vendor, kind, 6 + len(value)) + value


def datagram(
    payload: bytes, source: str = OPERATOR, password: str = PASSWORD, at: datetime | None = None
) -> bytes:
    """The chunks of Asterisk's res_hep, in its order; captured now, unless told."""
    captured = int((at or datetime.now(UTC)).timestamp())
    address = ip_address(source)
    family, kind = (2, 3) if address.version == 4 else (10, 5)
    chunks = (
        chunk(1, bytes([family])),
        chunk(2, bytes([17])),
        chunk(7, struct.pack("!H", 5060)),
        chunk(8, struct.pack("!H", 5060)),
        chunk(9, struct.pack("!I", captured)),
        chunk(10, struct.pack("!I", 174_887)),
        chunk(11, bytes([1])),
        chunk(12, bytes(4)),
        chunk(kind, address.packed),
        chunk(kind + 1, address.packed),
        chunk(14, password.encode()),
        chunk(17, b"call-id"),
        chunk(15, payload),
    )
    body = b"".join(chunks)
    return b"HEP3" + struct.pack("!H", 6 + len(body)) + body


def invite(
    call_id: str = "a@b",
    *,
    number: str = "+77010000001",
    called: str = "111",
    uri: str = "",
    to: str = "<sip:111@127.0.0.1>",
    also: str = "",
) -> bytes:
    """An INVITE; `also` are further lines, `uri` parameters of its URI."""
    lines = (
        f"INVITE sip:{called}@127.0.0.1:5060{uri} SIP/2.0",
        "Via: SIP/2.0/UDP 127.0.0.2:5060;branch=z9hG4bK1",
        f'From: "Somebody" <sip:{number}@127.0.0.2>;tag=1',
        f"To: {to}",
        f"Call-ID: {call_id}",
        "CSeq: 1 INVITE",
        *also.splitlines(),
        "Content-Length: 0",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def answer(call_id: str = "a@b", status: int = 488, cseq: str = "1 INVITE") -> bytes:
    lines = (
        f"SIP/2.0 {status} Some reason",
        "Via: SIP/2.0/UDP 127.0.0.2:5060;branch=z9hG4bK1",
        f"Call-ID: {call_id}",
        f"CSeq: {cseq}",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
