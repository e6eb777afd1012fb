"""Session descriptions (RFC 4566), and negotiation of codec and keys (RFC 3264). No I/O.

One audio stream, G.711 only, with keys as telephone events (RFC 4733): all that is needed to
call a helpline from the telephone network. Whatever comes from outside raises only BadSession.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address
from typing import Literal

from callcenter.platform.core.errors import InvalidRequest
from callcenter.sipphone.audio import Codec

Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
ANSWER_TO: dict[Direction, Direction] = {
    "sendrecv": "sendrecv",
    "sendonly": "recvonly",
    "recvonly": "sendonly",
    "inactive": "inactive",
}
PAYLOAD_TYPES: dict[Codec, int] = {"PCMU": 0, "PCMA": 8}
OUR_EVENTS = 101
TYPE = "application/sdp"

_STATIC = {0: "PCMU/8000", 3: "GSM/8000", 8: "PCMA/8000", 9: "G722/8000", 18: "G729/8000"}
_FAMILIES: dict[str, type[IPv4Address] | type[IPv6Address]] = {
    "IP4": IPv4Address,
    "IP6": IPv6Address,
}
_CONNECTION = re.compile(r"IN (IP[46]) ([^\s/]{1,45})(?:/\S*)?")
_MEDIA = re.compile(r"audio ([0-9]{1,5})(?:/[0-9]{1,3})? \S+((?: [0-9]{1,3})+)")
_RTPMAP = re.compile(r"rtpmap:([0-9]{1,3}) ([^\s/]{1,40})/([0-9]{1,6})")


class BadSession(InvalidRequest):
    """This session description cannot be used by this telephone."""


@dataclass(frozen=True, slots=True)
class SessionDescription:
    """The audio stream that the other side describes."""

    address: str
    port: int  #: 0 means that the stream was refused
    payloads: tuple[tuple[int, str], ...]  #: payload types with `NAME/RATE`, in order of preference
    direction: Direction

    @property
    def events(self) -> int | None:
        """The payload type of telephone events, if the other side takes them."""
        return next((kind for kind, name in self.payloads if name == "TELEPHONE-EVENT/8000"), None)

    @property
    def listens(self) -> bool:
        """Whether the other side wants to hear anything now; 0.0.0.0 is the hold of old."""
        is_nowhere = ip_address(self.address).is_unspecified
        return self.port != 0 and not is_nowhere and "recv" in self.direction

    def codec(self, ours: Sequence[Codec]) -> tuple[Codec, int]:
        """Their most preferred codec that we have, and its payload type; BadSession if none."""
        for kind, name in self.payloads:
            for codec in ours:
                if name == f"{codec}/8000":
                    return codec, kind
        raise BadSession("the other side offers no codec that this telephone has")


def parse(body: bytes) -> SessionDescription:
    """The first audio stream of a session description. Raises BadSession, and nothing else."""
    lines = body.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
    direction = None
    address: re.Match[str] | None = None
    stream: re.Match[str] | None = None
    names: dict[int, str] = dict(_STATIC)
    for line in lines:
        kind, _, value = line.partition("=")
        if kind == "m":
            if stream is not None:
                break
            stream = _MEDIA.fullmatch(value.strip())
        elif kind == "c":
            address = _CONNECTION.fullmatch(value.strip()) or address
        elif kind == "a":
            direction = _direction(value.strip()) or direction
            if found := _RTPMAP.match(value):
                names[int(found[1])] = f"{found[2]}/{found[3]}".upper()
    if stream is None or address is None:
        raise BadSession("a session description came without audio or without an address")
    return SessionDescription(
        _address(address), _port(stream[1]), _payloads(stream[2], names), direction or "sendrecv"
    )


def _direction(value: str) -> Direction | None:
    return next((direction for direction in ANSWER_TO if direction == value), None)


def _payloads(kinds: str, names: dict[int, str]) -> tuple[tuple[int, str], ...]:
    return tuple((int(kind), names.get(int(kind), "")) for kind in kinds.split())


def _address(connection: re.Match[str]) -> str:
    try:
        return str(_FAMILIES[connection[1]](connection[2]))
    except AddressValueError as exc:
        raise BadSession("a session description came with an unreadable address") from exc


def _port(text: str) -> int:
    if int(text) > 65535:
        raise BadSession("a session description came with an impossible port")
    return int(text)


def offer(
    place: tuple[str, int],
    codecs: Sequence[Codec],
    *,
    version: int,
    direction: Direction = "sendrecv",
) -> bytes:
    """An offer of all our codecs, in order of preference, and of telephone events."""
    payloads = [(PAYLOAD_TYPES[codec], codec) for codec in codecs]
    return _describe(place, payloads, OUR_EVENTS, version, direction)


def answer(
    place: tuple[str, int], offered: SessionDescription, codecs: Sequence[Codec], *, version: int
) -> bytes:
    """One codec of theirs, and their events if any. Raises BadSession if no codec fits."""
    codec, kind = offered.codec(codecs)
    return _describe(place, [(kind, codec)], offered.events, version, ANSWER_TO[offered.direction])


def _describe(
    place: tuple[str, int],
    payloads: Sequence[tuple[int, str]],
    events: int | None,
    version: int,
    direction: Direction,
) -> bytes:
    address, port = place
    family = "IP6" if ":" in address else "IP4"
    kinds = [str(kind) for kind, _ in payloads] + ([str(events)] if events is not None else [])
    lines = [
        "v=0",
        f"o=- 111 {version} IN {family} {address}",
        "s=-",
        f"c=IN {family} {address}",
        "t=0 0",
        f"m=audio {port} RTP/AVP {' '.join(kinds)}",
        *(f"a=rtpmap:{kind} {name}/8000" for kind, name in payloads),
    ]
    if events is not None:
        lines += [f"a=rtpmap:{events} telephone-event/8000", f"a=fmtp:{events} 0-15"]
    return "\r\n".join([*lines, "a=ptime:20", f"a={direction}", ""]).encode()
