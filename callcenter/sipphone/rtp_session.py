"""The RTP session of one call: a socket, and one clock of 20 ms for all of them.

The hot path is kept cheap, so that one process can hold many calls: frames are encoded once and
repeated, and received packets are only put aside.
"""

import asyncio
import secrets
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from weakref import WeakKeyDictionary

from callcenter.platform.core.errors import InvalidRequest
from callcenter.sipphone.audio import RATE, Codec, encode, tone
from callcenter.sipphone.errors import CallOver
from callcenter.sipphone.rtp import FRAME, FRAME_SECONDS, ReceivedAudio, build, event_frames, is_end

_SO_TIMESTAMPNS = 35  # Linux; Python does not name it
_STAMP = struct.Struct("@ll")
_SILENT_BYTE: dict[Codec, bytes] = {"PCMA": b"\xd5", "PCMU": b"\xff"}
#: After a longer standstill (a suspended process) missed frames are left out, not made up for.
_LONGEST_CATCH_UP = 5.0


@dataclass(eq=False, slots=True)
class _Press:
    """A key that is being pressed or waits for its turn."""

    frames: deque[bytes]
    pressed: asyncio.Future[None]
    began: int | None = None  # RTP timestamp


class RtpSession:
    """Sends 20 ms of audio 50 times a second, and collects the received packets.

    Silence is sent until something else is asked for.
    """

    def __init__(self, address: str, on_first_packet: Callable[[float], None]) -> None:
        self.heard = ReceivedAudio(on_first_packet)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        # Arrival is stamped by the kernel: a busy test must not look like a late packet.
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.bind((address, 0))
        self.place: tuple[str, int] = self._socket.getsockname()[:2]
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._read)
        self._remote: tuple[str, int] | None = None
        self._codec: Codec = "PCMA"
        self._kind = 0
        self._events: int | None = None
        self._sound: float | None = 0.0  # hertz; 0 is silence, None is nothing at all
        self._frames: list[bytes] = []
        self._keys: deque[_Press] = deque()
        self._ssrc = secrets.randbits(32)
        self._sequence = secrets.randbits(16) + 0x10000  # wrapped when sent
        self._timestamp = secrets.randbits(32)
        self._turn = 0
        self._spoke = False  # whether the last frame was sound: a packet after a pause is marked

    def connect(
        self, remote: tuple[str, int], codec: Codec, kind: int, *, events: int | None
    ) -> None:
        """Sends from now on to `remote`: payload type `kind`, keys as payload type `events`."""
        self._remote, self._codec, self._kind, self._events = remote, codec, kind, events
        self._prepare()
        _ticker().add(self)

    def pause(self) -> None:
        """Sends nothing until `connect`."""
        self._remote = None

    def close(self) -> None:
        """Frees the socket; what was heard stays."""
        _ticker().streams.discard(self)
        while self._keys:
            pressed = self._keys.popleft().pressed
            if not pressed.done():
                pressed.set_exception(CallOver("the call ended while a key was being pressed"))
        if self._socket.fileno() >= 0:
            self._read()
            self._loop.remove_reader(self._socket)
            self._socket.close()

    def send(self, hertz: float | None) -> None:
        """Set the audio from the next frame on: a tone, silence (0), or nothing (None)."""
        self._sound = hertz
        self._prepare()

    def begin_anew(self, number: int, *, as_before: bool) -> None:
        """A new stream from this number on, as some telephones begin after a hold.

        Under a new SSRC, or the one before.
        """
        if not as_before:
            self._ssrc = secrets.randbits(32)
        self._sequence = number

    async def press(self, key: str) -> None:
        """Sends a key as telephone events; returns when its end was sent for the first time."""
        if self._events is None:
            raise InvalidRequest("the other side takes no telephone events: press by SIP INFO")
        press = _Press(deque(event_frames(key)), self._loop.create_future())
        self._keys.append(press)
        await press.pressed

    def _prepare(self) -> None:
        self._frames = [] if self._sound is None else _loop_of_frames(self._sound, self._codec)

    def tick(self) -> None:
        """Sends the frame of these 20 ms."""
        if self._keys and self._remote is not None:
            self._send_key(self._keys[0])
            self._spoke = False
        elif self._frames:
            frame = self._frames[self._turn % len(self._frames)]
            self._send(self._kind, not self._spoke, self._timestamp, frame)
            self._spoke = True
        else:
            self._spoke = False
        self._turn += 1
        self._timestamp += FRAME

    def _send_key(self, press: "_Press") -> None:
        # All packets of one key carry the time of its beginning.
        begins = press.began is None
        if press.began is None:
            press.began = self._timestamp
        frame = press.frames.popleft()
        if self._events is not None:
            self._send(self._events, begins, press.began, frame)
        if is_end(frame) and not press.pressed.done():
            press.pressed.set_result(None)
        if not press.frames:
            self._keys.popleft()

    def _send(self, kind: int, marker: bool, timestamp: int, payload: bytes) -> None:
        if self._remote is None:
            return
        packet = build(kind, marker, self._sequence, timestamp, self._ssrc, payload)
        self._sequence += 1
        try:
            self._socket.sendto(packet, self._remote)
        except OSError:
            # The other side has closed its port, or the kernel has no room: as on any network,
            # this packet is lost.
            return

    def _read(self) -> None:
        # Kernel stamps are wall-clock time.
        offset = time.monotonic() - time.time()
        while True:
            try:
                data, extra, _, _ = self._socket.recvmsg(2048, 64)
            except BlockingIOError:
                return
            arrived = time.monotonic()
            if extra:
                seconds, nanoseconds = _STAMP.unpack_from(extra[0][2])
                arrived = seconds + nanoseconds / 1e9 + offset
            self.heard.take(data, arrived)


@lru_cache(maxsize=64)
def _loop_of_frames(hertz: float, codec: Codec) -> list[bytes]:
    """Frames that can be repeated without a click: one second for whole hertz."""
    if hertz == 0:
        return [_SILENT_BYTE[codec] * FRAME]
    data = encode(tone(hertz, 1.0), codec)
    return [data[at : at + FRAME] for at in range(0, RATE, FRAME)]


class _Ticker:
    """One clock for all calls of an event loop; it runs while there is a call."""

    def __init__(self) -> None:
        self.streams: set[RtpSession] = set()
        self._next: float | None = None

    def add(self, stream: RtpSession) -> None:
        self.streams.add(stream)
        if self._next is None:
            self._next = asyncio.get_running_loop().time()
            self._tick(self._next)

    def _tick(self, due: float) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        if now - due > _LONGEST_CATCH_UP:
            due = now
        while due <= now:
            for stream in self.streams:
                stream.tick()
            due += FRAME_SECONDS
        self._next = due if self.streams else None
        if self.streams:
            loop.call_at(due, self._tick, due)


_TICKERS: WeakKeyDictionary[asyncio.AbstractEventLoop, _Ticker] = WeakKeyDictionary()


def _ticker() -> _Ticker:
    return _TICKERS.setdefault(asyncio.get_running_loop(), _Ticker())
