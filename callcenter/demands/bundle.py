"""A bundle on its way: a tar of named pieces, encrypted to the receiver's key of age as it is made.

Nothing of it is on a disk or in memory as a whole unless it is encrypted. These functions block.
"""

import hashlib
import io
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

import pyrage
from pyrage import RecipientError, x25519

from callcenter.errors import AskedWrongly, WeFailed

PIECE = 256 * 1024


class Differs(WeFailed):
    """A recording is not what the register says: nothing of this disclosure is handed over."""


@dataclass(frozen=True)
class Part:
    """A file of the bundle; `open` is called when it is its turn."""

    name: str
    bytes: int
    sha256: str
    open: Callable[[], BinaryIO]


def part_of(name: str, content: bytes) -> Part:
    """A file that is in memory."""
    digest = hashlib.sha256(content).hexdigest()
    return Part(name, len(content), digest, lambda: io.BytesIO(content))


def read_recipient(public: str) -> x25519.Recipient:
    """A public key of age. Raises AskedWrongly."""
    try:
        return x25519.Recipient.from_str(public.strip())
    except RecipientError as exc:
        raise AskedWrongly("a public key of age begins with age1: copy it as a whole") from exc


def encrypt(
    parts: Sequence[Part], at: datetime, recipient: x25519.Recipient, target: BinaryIO
) -> None:
    """Write the tar of the parts to `target`, encrypted.

    Raises Differs when a part is not of its size and SHA-256, what opening and reading it raises,
    and OSError, as when the disk is full; `target` is then to be thrown away.
    """
    source = _Pieces(_tar(parts, at))
    try:
        pyrage.encrypt_io(source, target, [recipient])
    except Exception as exc:  # pyrage hides what `source` raised, and `target`
        raise source.failure or OSError(str(exc)) from exc


class _Pieces(io.RawIOBase):
    """Pieces of bytes as a file for reading; `failure` is what making them raised."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")
        self.failure: Exception | None = None

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        try:
            while not self._left:
                self._left = memoryview(next(self._pieces))
        except StopIteration:
            return b""
        except Exception as exc:
            self.failure = exc
            raise
        part, self._left = self._left[:size], self._left[size:]
        return bytes(part)


def _tar(parts: Sequence[Part], at: datetime) -> Iterator[bytes]:
    for part in parts:
        info = tarfile.TarInfo(part.name)
        info.size, info.mode, info.mtime = part.bytes, 0o444, int(at.timestamp())
        yield info.tobuf(tarfile.USTAR_FORMAT)
        yield from _checked(part)
        yield bytes(-part.bytes % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _checked(part: Part) -> Iterator[bytes]:
    digest, left = hashlib.sha256(), part.bytes
    with part.open() as file:
        while piece := file.read(PIECE):
            digest.update(piece)
            left -= len(piece)
            yield piece
    if left or digest.hexdigest() != part.sha256:
        raise Differs
