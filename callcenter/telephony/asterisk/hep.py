"""Parser of HEP3, the datagrams in which Asterisk tells each SIP message. Without I/O.

A datagram is `HEP3`, its length, and chunks of vendor, type, length and value, all in network order
and each length with its own header (HEP3 specification of sipcapture.org, rev. 36; `res_hep.c`).
"""

import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from hmac import compare_digest
from ipaddress import IPv4Address, IPv6Address

_HEADER = struct.Struct("!4sH")
_CHUNK = struct.Struct("!HHH")
_MOST_CHUNKS = 32  # Asterisk sends 14
_GENERIC = 0  # the vendor of the types below
_IPV4_SIZE, _IPV6_SIZE = 4, 16  # bytes
_IPV4_SOURCE, _IPV6_SOURCE, _SECONDS, _PASSWORD, _PAYLOAD = 3, 5, 9, 14, 15
_SECONDS_SIZE = 4  # bytes, since 1970


@dataclass(frozen=True, slots=True)
class CapturedMessage:
    """SIP message that Asterisk received, or sent, from `source` then. Its text is unchecked."""

    at: datetime
    source: IPv4Address | IPv6Address
    payload: bytes


def parse(datagram: bytes, password: str) -> CapturedMessage | None:
    """Parse a datagram; None when it is none of our Asterisk's. Never raises."""
    if len(datagram) < _HEADER.size or _HEADER.unpack_from(datagram) != (b"HEP3", len(datagram)):
        return None
    chunks = _chunks(datagram)
    if not compare_digest(chunks.get(_PASSWORD, b""), password.encode()):
        return None
    source: IPv4Address | IPv6Address
    if len(address := chunks.get(_IPV4_SOURCE, b"")) == _IPV4_SIZE:
        source = IPv4Address(address)
    elif len(address := chunks.get(_IPV6_SOURCE, b"")) == _IPV6_SIZE:
        source = IPv6Address(address)
    else:
        return None
    if len(seconds := chunks.get(_SECONDS, b"")) != _SECONDS_SIZE:
        return None
    at = datetime.fromtimestamp(int.from_bytes(seconds), UTC)
    return CapturedMessage(at, source, chunks.get(_PAYLOAD, b""))


def _chunks(datagram: bytes) -> dict[int, bytes]:
    """The values by type; none at all when one is cut off."""
    chunks: dict[int, bytes] = {}
    at = _HEADER.size
    for _ in range(_MOST_CHUNKS):
        if at + _CHUNK.size > len(datagram):
            break
        vendor, kind, size = _CHUNK.unpack_from(datagram, at)
        if size < _CHUNK.size:
            break
        if vendor == _GENERIC:
            chunks[kind] = datagram[at + _CHUNK.size : at + size]
        at += size
    return chunks if at == len(datagram) else {}
