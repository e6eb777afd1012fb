"""Random access to age files (age-encryption.org/v1): only requested chunks are decrypted.

pyrage, which encrypts and checks, decrypts from the beginning only; a player asks for parts, and
whoever reads the sound needs its end first. So this is the reading side alone, for X25519, as
the specification says: the payload is chunks of 64 KiB, each encrypted and authenticated for itself
and for its place.
"""

import base64
import io
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pyrage import x25519

from callcenter.platform.core.errors import OperationFailed

CHUNK = 64 * 1024
TAG = 16
NONCE = 16  # at the beginning of the payload
LARGEST_HEADER = 16 * 1024
AT_ONCE = 16  # chunks fetched together
BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

#: `read(start, length)` gives these bytes of a file, fewer at its end.
Read = Callable[[int, int], bytes]


class WrongKey(OperationFailed):
    """None of the center's keys opens this recording."""


class Altered(OperationFailed):
    """This is not what was sealed."""


class Header(NamedTuple):
    """A parsed header: its length in bytes, its stanzas as arguments and body."""

    length: int
    stanzas: list[tuple[list[str], bytes]]
    signed: bytes
    mac: bytes


class AgeFile(io.RawIOBase):
    """The plain bytes of an age file, seekable; all bytes that are read are authentic.

    Nothing is fetched but its header until it is read. `opened_by` is the public key that opens it.
    Raises WrongKey and Altered, and what `read` raises. Not for two threads at once.
    """

    def __init__(self, read: Read, size: int, identities: Sequence[x25519.Identity]) -> None:
        self._read = read
        self._sealed_size = size
        begin = read(0, min(LARGEST_HEADER, size))
        header = _parse(begin)
        file_key, identity = _file_key(header, identities)
        self.opened_by = str(identity.to_public())
        self._payload = header.length + NONCE
        nonce = begin[header.length : self._payload]
        self._aead = ChaCha20Poly1305(_derive(file_key, nonce, b"payload"))
        sealed = size - self._payload
        self._chunks = -(-sealed // (CHUNK + TAG))
        self.size = sealed - self._chunks * TAG
        if self._chunks < 1 or self.size < 0:
            raise Altered
        self._at = 0
        self._first, self._fetched = 0, b""  # sealed chunks, from the one with this number
        self._number, self._plain = -1, b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        if origin + offset < 0:
            raise ValueError("cannot seek to before the beginning")
        self._at = origin + offset
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read up to the end of the current chunk, as raw files may."""
        if self._at >= self.size or not len(buffer):
            return 0
        number, offset = divmod(self._at, CHUNK)
        part = self._chunk(number)[offset : offset + len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)

    def _chunk(self, number: int) -> bytes:
        if number != self._number:
            is_last = number == self._chunks - 1
            try:
                self._plain = self._aead.decrypt(
                    number.to_bytes(11, "big") + bytes([is_last]), self._sealed(number), None
                )
            except InvalidTag as exc:
                raise Altered from exc
            self._number = number
        return self._plain

    def _sealed(self, number: int) -> bytes:
        one = CHUNK + TAG
        begin = (number - self._first) * one
        if not (0 <= begin < len(self._fetched)):
            # What is read on is fetched ahead; a leap, as to the end and back, only what it needs.
            count = AT_ONCE if number == self._number + 1 else 1
            self._first, begin = number, 0
            start = self._payload + number * one
            # Never beyond the end: not every S3 server forgives it.
            self._fetched = self._read(start, min(count * one, self._sealed_size - start))
        return self._fetched[begin : begin + one]


def _parse(begin: bytes) -> Header:
    end = begin.find(b"\n--- ")
    line_end = begin.find(b"\n", end + 1)
    if not begin.startswith(b"age-encryption.org/v1\n") or end < 0 or line_end < 0:
        raise Altered("this is no file of age")
    try:
        lines = begin[:end].decode("ascii").split("\n")[1:]
        mac = _base64(begin[end + 5 : line_end].decode("ascii"))
        return Header(line_end + 1, list(_stanzas(lines)), begin[: end + 4], mac)
    except ValueError as exc:
        raise Altered("the header of a file of age is damaged") from exc


def _stanzas(lines: Sequence[str]) -> Iterator[tuple[list[str], bytes]]:
    at = 0
    while at < len(lines):
        mark, *arguments = lines[at].split(" ")
        if mark != "->":
            raise ValueError("a stanza begins with ->")
        body, at = "", at + 1
        while at < len(lines):
            body, at = body + lines[at], at + 1
            if len(lines[at - 1]) < 64:
                break
        yield arguments, _base64(body)


def _base64(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def _file_key(
    header: Header, identities: Sequence[x25519.Identity]
) -> tuple[bytes, x25519.Identity]:
    for identity in identities:
        private = X25519PrivateKey.from_private_bytes(_bytes_of(identity))
        for arguments, body in header.stanzas:
            if arguments[0] != "X25519" or len(arguments) != 2 or len(body) != 16 + TAG:
                continue
            key = _unwrap(private, arguments[1], body)
            if key is not None:
                _check(header, key)
                return key, identity
    raise WrongKey


def _unwrap(private: X25519PrivateKey, encoded: str, body: bytes) -> bytes | None:
    try:
        share = _base64(encoded)
        shared = private.exchange(X25519PublicKey.from_public_bytes(share))
        salt = share + private.public_key().public_bytes_raw()
        key = _derive(shared, salt, b"age-encryption.org/v1/X25519")
        return ChaCha20Poly1305(key).decrypt(bytes(12), body, None)
    except (ValueError, InvalidTag):
        return None


def _check(header: Header, file_key: bytes) -> None:
    mac = HMAC(_derive(file_key, b"", b"header"), hashes.SHA256())
    mac.update(header.signed)
    try:
        mac.verify(header.mac)
    except InvalidSignature as exc:
        raise Altered from exc


def _derive(key: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt, info).derive(key)


def _bytes_of(identity: x25519.Identity) -> bytes:
    """The 32 bytes of an identity, which was checked when it was read."""
    number = 0
    for letter in str(identity).lower().rpartition("1")[2][:-6]:
        number = number << 5 | BECH32.index(letter)
    return (number >> 4).to_bytes(32, "big")
