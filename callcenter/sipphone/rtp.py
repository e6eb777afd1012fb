"""RTP packets (RFC 3550), telephone events (RFC 4733), and received audio. No I/O here."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from callcenter.platform.core.errors import InvalidRequest
from callcenter.sipphone.audio import RATE, Codec, Pcm, decode

FRAME = 160  #: samples in a packet: 20 ms
FRAME_SECONDS = 0.02
KEYS = "0123456789*#ABCD"

_HEADER = struct.Struct(">BBHII")
_EVENT = struct.Struct(">BBH")
_VOLUME = 10  #: of a pressed key, in -dBm0
_CODECS: dict[int, Codec] = {0: "PCMU", 8: "PCMA"}
#: Samples by which a packet may stray from the place that its timestamp says, before we believe
#: that the sender made a pause or began a new stream.
_MAX_JITTER = RATE // 10


@dataclass(frozen=True, slots=True)
class Packet:
    """One RTP packet and when it arrived (`time.monotonic()`, stamped by the kernel)."""

    arrived_at: float
    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


def build(
    kind: int, marker: bool, sequence: int, timestamp: int, ssrc: int, payload: bytes
) -> bytes:
    """The bytes of a packet; sequence and timestamp are wrapped here."""
    second = kind | (0x80 if marker else 0)
    header = _HEADER.pack(0x80, second, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)
    return header + payload


def parse(data: bytes, arrived_at: float) -> Packet | None:
    """The packet in a datagram; None if it is no RTP (RTCP included, told apart by RFC 5761)."""
    if len(data) < _HEADER.size:
        return None
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
    if first >> 6 != 2 or 192 <= second <= 223:
        return None
    start = _HEADER.size + 4 * (first & 0x0F)
    if first & 0x10:
        if len(data) < start + 4:
            return None
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4])
    end = len(data) - (data[-1] if first & 0x20 else 0)
    if end < start:
        return None
    return Packet(
        arrived_at, second & 0x7F, bool(second & 0x80), sequence, timestamp, ssrc, data[start:end]
    )


def event_frames(key: str, milliseconds: int = 100) -> list[bytes]:
    """A key press as RFC 4733 sends it: an update every 20 ms, and the end three times.

    Raises InvalidRequest for what is no key.
    """
    if len(key) != 1 or key not in KEYS:
        raise InvalidRequest(f"{key!r} is no key of a telephone: use one of {KEYS}")
    steps = max(1, milliseconds // 20)
    frames = []
    for step in range(1, steps + 3):
        end = 0x80 if step >= steps else 0
        frames.append(_EVENT.pack(KEYS.index(key), end | _VOLUME, min(step, steps) * FRAME))
    return frames


def is_end(frame: bytes) -> bool:
    """Whether a telephone event says that its key was released."""
    return bool(frame[1] & 0x80)


class ReceivedAudio:
    """All packets that one call received by RTP.

    Times are `time.monotonic()`. Packets are kept as they came and read only when asked for.
    """

    def __init__(self, on_first_packet: Callable[[float], None]) -> None:
        self._on_first_packet = on_first_packet
        self.first_packet_at: float | None = None
        self.last_packet_at: float | None = None
        self.events: int | None = None  #: payload type under which keys come
        self._raw: list[tuple[float, bytes]] = []
        self._packets: list[Packet] = []

    def take(self, data: bytes, arrived_at: float) -> None:
        """Keeps one received datagram."""
        if self.first_packet_at is None:
            self.first_packet_at = arrived_at
            self._on_first_packet(arrived_at)
        self.last_packet_at = arrived_at
        self._raw.append((arrived_at, data))

    @property
    def packets(self) -> list[Packet]:
        """All RTP packets, in the order of arrival."""
        fresh, self._raw = self._raw, []
        parsed = (parse(data, arrived_at) for arrived_at, data in fresh)
        self._packets += [packet for packet in parsed if packet is not None]
        return self._packets

    @property
    def keys(self) -> str:
        """The keys pressed by the other side, as telephone events (RFC 4733)."""
        pressed: dict[tuple[int, int], str] = {}
        for packet in self.packets:
            if packet.payload_type == self.events and len(packet.payload) >= _EVENT.size:
                code = packet.payload[0]
                if code < len(KEYS):
                    pressed.setdefault((packet.ssrc, packet.timestamp), KEYS[code])
        return "".join(pressed.values())

    def longest_gap(self, since: float | None = None) -> float:
        """The longest time in seconds between two packets that arrived one after the other."""
        arrivals = [p.arrived_at for p in self.packets if since is None or p.arrived_at >= since]
        return max((b - a for a, b in pairwise(arrivals)), default=0.0)

    def pcm(self, since: float | None = None) -> Pcm:
        """The sound on the timeline of arrival: sample i was heard at `since + i / 8000`.

        `since` is by default the arrival of the first packet. Sound that came without a break is
        laid out by its RTP timestamps, so that jitter does not tear it; where nothing came the
        samples are 0. Ends with the last packet.
        """
        pieces = list(self._pieces())
        if not pieces:
            return np.zeros(0, np.int16)
        start = pieces[0][0] if since is None else round(since * RATE)
        length = max(0, max(at + len(sound) for at, sound in pieces) - start)
        timeline = np.zeros(length, np.int16)
        for at, sound in pieces:
            begin, skipped = max(0, at - start), max(0, start - at)
            if skipped < len(sound):
                timeline[begin : begin + len(sound) - skipped] = sound[skipped:]
        return timeline

    def joined(self, since: float | None = None) -> Pcm:
        """The sound that arrived from `since` on, without regard to when each packet came.

        For telling what was played: a machine that stands still for a moment does not tear it.
        """
        sounds = [
            decode(packet.payload, codec)
            for packet in self.packets
            if (codec := _CODECS.get(packet.payload_type))
            and (since is None or packet.arrived_at >= since)
        ]
        return np.concatenate([np.zeros(0, np.int16), *sounds])

    def _pieces(self) -> Iterator[tuple[int, Pcm]]:
        """The sound of each packet, with its place in samples since the start of the clock."""
        anchor: tuple[int, int, int] | None = None  # ssrc, timestamp, place
        for packet in self.packets:
            codec = _CODECS.get(packet.payload_type)
            if codec is None:
                continue
            arrived = round(packet.arrived_at * RATE)
            place = arrived
            if anchor is not None and anchor[0] == packet.ssrc:
                # the difference of two timestamps, also across the wrap at 2**32
                step = (packet.timestamp - anchor[1] + 2**31) % 2**32 - 2**31
                if abs(anchor[2] + step - arrived) <= _MAX_JITTER:
                    place = anchor[2] + step
            if anchor is None or place == arrived:
                anchor = (packet.ssrc, packet.timestamp, place)
            yield place, decode(packet.payload, codec)
