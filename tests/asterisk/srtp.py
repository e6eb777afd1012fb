"""SRTP as a softphone speaks it: AES_CM_128_HMAC_SHA1_80 (RFC 3711), keys in SDP (RFC 4568)."""

import asyncio
import base64
import hmac
import re
import secrets
import struct
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from callcenter.sipphone.sip import Place

SUITE = "AES_CM_128_HMAC_SHA1_80"
KEY, SALT, TAG = 16, 14, 10  # bytes
_AUDIO = re.compile(r"(?m)^m=audio ([0-9]+) RTP/(S?)AVP ")
_ADDRESS = re.compile(r"(?m)^c=IN IP4 (\S+)$")
_CRYPTO = re.compile(rf"(?m)^a=crypto:[0-9]+ {SUITE} inline:([A-Za-z0-9+/=]+)\S*\n")


class SrtpStream:
    """The packets that one side sends with its master key and salt, without its RTCP."""

    def __init__(self, master: bytes) -> None:
        self._master = master
        self._cipher, self._salt = self._derive(0, KEY), self._derive(2, SALT)
        self._authentication = self._derive(1, 20)
        self._highest: dict[int, int] = defaultdict(lambda: -1)  # index, by SSRC

    def protect(self, packet: bytes) -> bytes:
        """An RTP packet, encrypted and with a tag."""
        index = self._index(packet)
        whole = packet[:12] + self._crypt(packet, index)
        return whole + self._tag(whole, index)

    def unprotect(self, packet: bytes) -> bytes:
        """The RTP packet in one of SRTP. Raises ValueError when its tag is wrong."""
        whole, tag = packet[:-TAG], packet[-TAG:]
        index = self._index(whole)
        if not hmac.compare_digest(tag, self._tag(whole, index)):
            raise ValueError("this is no packet of the other side")
        return whole[:12] + self._crypt(whole, index)

    def _derive(self, label: int, length: int) -> bytes:
        salt = bytearray(self._master[KEY:])
        salt[7] ^= label
        return _keystream(self._master[:KEY], bytes(salt) + b"\0\0", length)

    def _index(self, packet: bytes) -> int:
        """The packet's number with the times that it wrapped, guessed by the highest before."""
        sequence, ssrc = struct.unpack_from(">2xH4xI", packet)
        highest = self._highest[ssrc]
        index: int = sequence if highest < 0 else (highest & ~0xFFFF) | sequence
        if highest >= 0 and index < highest - 0x8000:
            index += 0x10000
        self._highest[ssrc] = max(highest, index)
        return index

    def _crypt(self, packet: bytes, index: int) -> bytes:
        (ssrc,) = struct.unpack_from(">8xI", packet)
        start = int.from_bytes(self._salt + b"\0\0") ^ ssrc << 64 ^ index << 16
        stream = _keystream(self._cipher, start.to_bytes(16), len(packet) - 12)
        return bytes(a ^ b for a, b in zip(packet[12:], stream, strict=True))

    def _tag(self, whole: bytes, index: int) -> bytes:
        wraps = struct.pack(">I", index >> 16)
        return hmac.digest(self._authentication, whole + wraps, "sha1")[:TAG]


def _keystream(key: bytes, counter: bytes, length: int) -> bytes:
    encryptor = Cipher(algorithms.AES(key), modes.CTR(counter)).encryptor()
    return encryptor.update(bytes(length))


class SrtpRelay:
    """Makes a telephone, which speaks RTP, one that speaks SRTP, for one call at a time.

    It stands between both in sound, and in the descriptions of it that they send.
    """

    def __init__(self) -> None:
        self.received = 0  #: packets of the server with a right tag
        self.refused = 0  #: others
        self._ours = secrets.token_bytes(KEY + SALT)
        self._sent, self._heard = SrtpStream(self._ours), SrtpStream(bytes(KEY + SALT))
        self._telephone: Place | None = None
        self._server: Place | None = None
        self._inside = _Socket(self._of_telephone)
        self._outside = _Socket(self._of_server)

    @asynccontextmanager
    async def open(self, address: str) -> AsyncIterator["SrtpRelay"]:
        for each in (self._inside, self._outside):
            await each.open(address)
        try:
            yield self
        finally:
            self._inside.transport.close()
            self._outside.transport.close()

    def to_server(self, description: str) -> str:
        """What the telephone describes, with our address and key."""
        self._telephone = _place(description)
        line = f"a=crypto:1 {SUITE} inline:{base64.b64encode(self._ours).decode()}\n"
        return _describe(description, self._outside.place, "S") + line

    def to_telephone(self, description: str) -> str:
        """What the server describes, with our address and in clear. It has to name a key."""
        self._server, key = _place(description), _CRYPTO.search(description)
        assert key is not None
        self._heard = SrtpStream(base64.b64decode(key[1]))
        return _describe(_CRYPTO.sub("", description), self._inside.place, "")

    def _of_telephone(self, packet: bytes) -> None:
        if self._server is not None:
            self._outside.transport.sendto(self._sent.protect(packet), self._server)

    def _of_server(self, packet: bytes) -> None:
        try:
            plain = self._heard.unprotect(packet)
        except ValueError:
            self.refused += 1
            return
        self.received += 1
        if self._telephone is not None:
            self._inside.transport.sendto(plain, self._telephone)


class _Socket(asyncio.DatagramProtocol):
    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take

    async def open(self, address: str) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self, local_addr=(address, 0))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    @property
    def place(self) -> Place:
        host, port = self.transport.get_extra_info("sockname")[:2]
        return str(host), int(port)

    def datagram_received(self, data: bytes, addr: Place) -> None:
        self._take(data)


def _place(description: str) -> Place:
    address, audio = _ADDRESS.search(description), _AUDIO.search(description)
    assert address is not None
    assert audio is not None
    return address[1], int(audio[1])


def _describe(description: str, place: Place, secure: str) -> str:
    moved = _ADDRESS.sub(f"c=IN IP4 {place[0]}", description)
    return _AUDIO.sub(f"m=audio {place[1]} RTP/{secure}AVP ", moved)
