"""The sealed store: audio goes in encrypted and is opened again in memory only.

These functions block.
"""

import hashlib
import io
from collections.abc import Iterator
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO
from uuid import UUID

import pyrage

from callcenter.buckets import Bucket
from callcenter.errors import WeFailed
from callcenter.recordings import keys
from callcenter.recordings.age import AgeFile, Altered, WrongKey
from callcenter.recordings.formats import SEALED, Format, Sealed
from callcenter.settings import Settings
from callcenter.storage.objects import Listed, Objects

PIECE = 256 * 1024


def name_for(recording_id: UUID, started_at: datetime, written: Format = Format.FLAC) -> str:
    """The object of a recording: its name tells nothing about people."""
    return f"{started_at.astimezone(UTC):%Y/%m/%d}/{recording_id}.{written}{SEALED}"


class Vault:
    """The store of recordings and the keys that open it. Made without touching either.

    Keys are read for each use, so a key that is made now seals now. `place` is another store than
    the first one, as that of copies.
    """

    def __init__(self, settings: Settings, place: Path | Bucket | None = None) -> None:
        self._objects = Objects(place or settings.store)
        self._keys = settings.keys
        self._recovery = settings.recovery_keys
        self._spool = settings.spool

    def seal(self, audio: BinaryIO, name: str) -> Sealed:
        """Encrypt the whole audio and keep it as object `name`, in the place of what was there.

        It was read back from the store and opened with a key of the center when this returns.
        Raises NoKey, StoreFails, WrongKey, Altered, OSError (as when the spool's disk is full).
        """
        ring = self._ring()
        with TemporaryFile(dir=self._spool) as file:  # it has no name: a kill leaves nothing of it
            audio.seek(0)
            pyrage.encrypt_io(audio, file, ring.recipients)
            sealed = Sealed(*_told(file), *_told(audio), ring.public)
            file.seek(0)
            self._objects.put(name, file)
        self.check(name, sealed)
        return sealed

    def check(self, name: str, sealed: Sealed) -> None:
        """Read the whole object and open it. Raises Altered, WrongKey, NoKey, ObjectMissing,
        StoreFails: it is not what was sealed, or cannot be told."""
        source, target = _Source(self._objects.stream(name)), _Digest()
        try:
            pyrage.decrypt_io(source, target, list(self._ring().identities))
        except (pyrage.DecryptError, OSError) as exc:  # which hide what `source` raised
            if source.failure is not None:
                raise source.failure from exc
            raise WrongKey if "No matching keys" in str(exc) else Altered from exc
        told = Sealed(*source.digest.told(), *target.told(), sealed.sealed_to)
        if told != sealed:
            raise Altered

    def open(self, name: str) -> BinaryIO:
        """The audio, decrypted in memory piece by piece as it is read; seekable.

        Raises NoKey, WrongKey, Altered, ObjectMissing, StoreFails; reading does so as well. What
        wraps it for a C library loses these errors and sees an early end: compare the length.
        """
        file = AgeFile(
            partial(self._objects.read, name), self._objects.size(name), self._ring().identities
        )
        return io.BufferedReader(file, PIECE)

    def listed(self, day: date) -> list[Listed]:
        """The objects of recordings that began on that day (UTC). Raises StoreFails."""
        return list(self._objects.listed(f"{day:%Y/%m/%d}"))

    def reach(self) -> None:
        """Raises StoreFails when the store does not answer."""
        self._objects.reach()

    def copy_to(self, other: "Vault", name: str, sealed: Sealed) -> None:
        """Put the object into another store, as it was sealed, and read it back from there.

        No key is needed. Raises Altered when it is not what was sealed: then nothing is put.
        Raises ObjectMissing, StoreFails, OSError.
        """
        with TemporaryFile(dir=self._spool) as file:
            for piece in self._objects.stream(name):
                file.write(piece)
            if _told(file) != (sealed.sha256, sealed.bytes):
                raise Altered
            file.seek(0)
            other._objects.put(name, file)
        other.check_object(name, sealed)

    def check_object(self, name: str, sealed: Sealed) -> None:
        """Read the whole object without opening it. Raises Altered, ObjectMissing, StoreFails."""
        digest = _Digest()
        for piece in self._objects.stream(name):
            digest.write(piece)
        if digest.told() != (sealed.sha256, sealed.bytes):
            raise Altered

    def remove(self, name: str) -> None:
        """Remove the object if it is there. Raises StoreFails."""
        self._objects.remove(name)

    def _ring(self) -> keys.Keys:
        return keys.read(self._keys, self._recovery)


class _Digest:
    """A file for writing that keeps the SHA-256 of it alone."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._bytes = 0

    def write(self, piece: bytes) -> int:
        self._sha256.update(piece)
        self._bytes += len(piece)
        return len(piece)

    def flush(self) -> None:
        """Nothing waits."""

    def told(self) -> tuple[str, int]:
        """SHA-256 in hexadecimal, and the size."""
        return self._sha256.hexdigest(), self._bytes


class _Source:
    """A file for reading, made of pieces; `failure` is what the pieces raised."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = b""
        self.digest = _Digest()
        self.failure: WeFailed | None = None

    def read(self, size: int) -> bytes:
        try:
            while not self._left:
                self._left = next(self._pieces)
                self.digest.write(self._left)
        except StopIteration:
            return b""
        except WeFailed as exc:
            self.failure = exc
            raise
        part, self._left = self._left[:size], self._left[size:]
        return part


def _told(file: BinaryIO) -> tuple[str, int]:
    digest = _Digest()
    file.seek(0)
    while piece := file.read(PIECE):
        digest.write(piece)
    return digest.told()
