"""Objects: named pieces of bytes in a folder, each there as a whole or not at all.

These functions block. Whoever has put an object can rely on it: it is on the disk.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, NamedTuple

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore

from callcenter.errors import WeFailed

#: In one request, so that memory does not grow with an object.
PART = 1024 * 1024


class ObjectMissing(WeFailed):
    """An object that should be in the store is not there."""


class StoreFails(WeFailed):
    """The object store does not answer, or refuses."""


class Listed(NamedTuple):
    """An object: its name, size in bytes, and when it was put."""

    name: str
    size: int
    at: datetime


class Objects:
    """The objects below one folder. Made without touching it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: str, content: BinaryIO) -> None:
        """Keep the rest of `content` under this name, in the place of what was there.

        Raises StoreFails, as when the disk is full: then what was there is there still.
        """
        with _told(name):
            file = self._folder / name
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            for unfinished in file.parent.glob(f"{file.name}#*"):  # of a put that was killed
                unfinished.unlink(missing_ok=True)
            obstore.put(self._store(), name, content, chunk_size=PART, max_concurrency=1)
            file.chmod(0o600)
            _sync(file)
            for folder in (file.parent, *file.parent.parents[: len(Path(name).parts) - 1]):
                _sync(folder)

    def read(self, name: str, start: int, length: int) -> bytes:
        """So many bytes from `start`; fewer at the end. Raises ObjectMissing and StoreFails."""
        with _told(name):
            found = obstore.get_range(self._store(), name, start=start, length=length)
            return found.to_bytes()

    def size(self, name: str) -> int:
        """In bytes. Raises ObjectMissing and StoreFails."""
        with _told(name):
            return obstore.head(self._store(), name)["size"]

    def stream(self, name: str) -> Iterator[bytes]:
        """The whole object, piece by piece. Raises ObjectMissing and StoreFails."""
        with _told(name):
            for piece in obstore.get(self._store(), name).stream(PART):
                yield bytes(piece)

    def listed(self, prefix: str) -> Iterator[Listed]:
        """What is there below a folder such as `2026/02/28`. Raises StoreFails."""
        with _told(prefix):
            for page in obstore.list(self._store(), prefix, chunk_size=1000):
                for each in page:
                    yield Listed(each["path"], each["size"], each["last_modified"])

    def remove(self, name: str) -> None:
        """Remove it if it is there. Raises StoreFails."""
        try:
            with _told(name):
                obstore.delete(self._store(), name)
        except ObjectMissing:
            return

    def _store(self) -> LocalStore:
        return LocalStore(self._folder, mkdir=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _told(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as exc:
        raise ObjectMissing(f"{name} is not in the store") from exc
    except (BaseError, OSError, ValueError) as exc:
        raise StoreFails(f"the object store fails at {name}: {str(exc).splitlines()[0]}") from exc
