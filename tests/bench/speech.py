"""Sound for hundreds of calls at once, cheaply enough that the generator is not what is measured.

SIPp gives each playing call a thread of its own; here all calls share one socket, and one system
call sends the packets of all calls whose turn it is. What comes back is left to the kernel to drop.
"""

import asyncio
import ctypes
import os
import secrets
import socket
import time
from dataclasses import dataclass

import numpy as np

from callcenter.platform.core.errors import DependencyUnavailable
from callcenter.sipphone.audio import encode, tone
from callcenter.sipphone.rtp import FRAME, FRAME_SECONDS, build, event_frames, is_end
from callcenter.sipphone.sip import Place

PHASES = 5  # calls speak at five different moments of each 20 ms: the switch gets no bursts
ROOM = 400  # calls in one phase
PCMA = 8

_HEADER = [
    ("flags", "u1"),
    ("kind", "u1"),
    ("sequence", ">u2"),
    ("timestamp", ">u4"),
    ("ssrc", ">u4"),
]
_ADDRESS = np.dtype(
    [("family", "=u2"), ("port", ">u2"), ("host", "u1", (4,)), ("zero", "u1", (8,))]
)
_BUFFER = np.dtype([("at", "=u8"), ("size", "=u8")])  # struct iovec
#: struct mmsghdr of a 64-bit Linux
_MESSAGE = np.dtype(
    {
        "names": ["name", "name_size", "buffers", "buffer_count"],
        "formats": ["=u8", "=u4", "=u8", "=u8"],
        "offsets": [0, 8, 16, 24],
        "itemsize": 64,
    }
)
_FRAME = np.frombuffer(encode(tone(400, FRAME_SECONDS), "PCMA"), np.uint8)
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(eq=False, slots=True)
class Stream:
    """The sound of one call; made by `Speech.start`. The numbers are kept while it is silent."""

    remote: Place
    phase: "_Phase"
    sequence: int
    timestamp: int
    source: int
    row: int = -1

    def stop(self) -> None:
        """Say nothing more. May be called twice."""
        if self.row >= 0:
            self.phase.remove(self)


class _Phase:
    """The calls that speak at the same moment, as the arrays that the kernel reads.

    Each of their packets has so many frames of 20 ms.
    """

    def __init__(self, frames: int) -> None:
        self.streams: list[Stream] = []
        self._samples = FRAME * frames
        packet = np.dtype([*_HEADER, ("payload", "u1", (self._samples,))])
        self._packets = np.zeros(ROOM, packet)
        self._addresses = np.zeros(ROOM, _ADDRESS)
        self._buffers = np.zeros(ROOM, _BUFFER)
        self._messages = np.zeros(ROOM, _MESSAGE)
        rows = np.arange(ROOM, dtype=np.uint64)
        self._packets["flags"], self._packets["kind"] = 0x80, PCMA
        self._packets["payload"] = np.tile(_FRAME, frames)
        self._addresses["family"] = socket.AF_INET
        self._buffers["at"] = self._packets.ctypes.data + rows * packet.itemsize
        self._buffers["size"] = packet.itemsize
        self._messages["name"] = self._addresses.ctypes.data + rows * _ADDRESS.itemsize
        self._messages["name_size"] = _ADDRESS.itemsize
        self._messages["buffers"] = self._buffers.ctypes.data + rows * _BUFFER.itemsize
        self._messages["buffer_count"] = 1

    def add(self, stream: Stream) -> None:
        row = len(self.streams)
        if row == ROOM:
            raise DependencyUnavailable(
                f"the generator speaks for at most {ROOM} calls at one moment"
            )
        stream.row = row
        self.streams.append(stream)
        self._addresses["port"][row] = stream.remote[1]
        self._addresses["host"][row] = list(socket.inet_aton(stream.remote[0]))
        packet = self._packets[row : row + 1]
        packet["sequence"] = stream.sequence & 0xFFFF
        packet["timestamp"] = stream.timestamp & 0xFFFFFFFF
        packet["ssrc"] = stream.source

    def remove(self, stream: Stream) -> None:
        """The last stream takes the place of the one that leaves."""
        packet = self._packets[stream.row]
        stream.sequence, stream.timestamp = int(packet["sequence"]), int(packet["timestamp"])
        last, row = self.streams.pop(), stream.row
        if last is not stream:
            self._packets[row] = self._packets[last.row]
            self._addresses[row] = self._addresses[last.row]
            self.streams[row] = last
            last.row = row
        stream.row = -1

    def send(self, descriptor: int) -> None:
        count, sent = len(self.streams), 0
        if not count:
            return
        self._packets["sequence"][:count] += 1
        self._packets["timestamp"][:count] += self._samples
        while sent < count:
            at = self._messages.ctypes.data + sent * _MESSAGE.itemsize
            done = _libc.sendmmsg(descriptor, ctypes.c_void_p(at), count - sent, 0)
            if done < 0:  # no room in the kernel: the rest of this turn is lost, as on any network
                error = ctypes.get_errno()
                if error not in (11, 105):  # EAGAIN, ENOBUFS
                    raise OSError(error, os.strerror(error))
                return
            sent += done


class Speech:
    """Speaks for all calls of one side from one socket at `address`."""

    def __init__(self, address: str, frames: int = 1) -> None:
        """`frames` of 20 ms are in one packet."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self._socket.bind((address, 0))
        self.place: Place = self._socket.getsockname()
        self._phases = [_Phase(frames) for _ in range(PHASES * frames)]
        self._turn = 0
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time()
        self._timer = self._loop.call_soon(self._tick)

    def close(self) -> None:
        self._timer.cancel()
        self._socket.close()

    def start(self, remote: Place) -> Stream:
        """Speak to `remote` until the stream is stopped."""
        phase = min(self._phases, key=lambda each: len(each.streams))
        numbers = (secrets.randbits(15), secrets.randbits(31), secrets.randbits(32))
        stream = Stream(remote, phase, *numbers)
        phase.add(stream)
        return stream

    async def press(self, stream: Stream, key: str, events: int) -> float:
        """Press a key for 100 ms (RFC 4733, payload type `events`) in place of the sound.

        Returns `time.monotonic()` of the first packet that says the key was released.
        """
        stream.stop()
        began, due, released = stream.timestamp + FRAME, self._loop.time(), 0.0
        for number, frame in enumerate(event_frames(key)):
            stream.sequence += 1
            stream.timestamp += FRAME
            packet = build(events, number == 0, stream.sequence, began, stream.source, frame)
            self._socket.sendto(packet, stream.remote)
            if is_end(frame) and not released:
                released = time.monotonic()
            due += FRAME_SECONDS
            await asyncio.sleep(due - self._loop.time())
        stream.phase.add(stream)
        return released

    def _tick(self) -> None:
        now = self._loop.time()
        while self._due <= now:
            self._phases[self._turn % len(self._phases)].send(self._socket.fileno())
            self._turn += 1
            self._due += FRAME_SECONDS / PHASES
        self._timer = self._loop.call_at(self._due, self._tick)
