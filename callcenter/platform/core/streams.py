"""Streams of bytes as files: for libraries that read from or write to a file."""

import hashlib
import io
from collections.abc import Iterator
from typing import BinaryIO

PIECE = 256 * 1024  # bytes


class Sha256Writer:
    """A file for writing that keeps only the SHA-256 and the size of its content."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._bytes = 0

    def write(self, piece: bytes) -> int:
        self._sha256.update(piece)
        self._bytes += len(piece)
        return len(piece)

    def flush(self) -> None:
        """Do nothing: writes are not buffered."""

    @property
    def digest(self) -> tuple[str, int]:
        """SHA-256 in hexadecimal, and the size in bytes."""
        return self._sha256.hexdigest(), self._bytes


class IteratorReader(io.RawIOBase):
    """A file for reading over an iterator of bytes.

    `failure` is the exception of the iterator, which a library of C may hide; `content` has the
    SHA-256 and the size of the pieces so far.
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")
        self.content = Sha256Writer()
        self.failure: Exception | None = None

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        try:
            while not self._left:
                piece = next(self._pieces)
                self.content.write(piece)
                self._left = memoryview(piece)
        except StopIteration:
            return b""
        except Exception as exc:
            self.failure = exc
            raise
        part, self._left = self._left[:size], self._left[size:]
        return bytes(part)


def digest_file(file: BinaryIO) -> tuple[str, int]:
    """SHA-256 in hexadecimal and size of a whole file, which is at its end afterwards."""
    content = Sha256Writer()
    file.seek(0)
    while piece := file.read(PIECE):
        content.write(piece)
    return content.digest
