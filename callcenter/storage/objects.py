"""Objects: named pieces of bytes in a folder or a bucket, each there as a whole or not at all.

These functions block. Whoever has put an object can rely on it: it is on the disk, or S3 has said
that it has it.
"""

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from callcenter.buckets import Bucket
from callcenter.errors import WeFailed

if TYPE_CHECKING:  # there is no such name while it runs
    from obstore.store import S3Config

#: In one request, so that memory does not grow with an object.
PART = 1024 * 1024
S3_PART = 8 * PART  # S3 takes no parts below 5 MiB but the last
CONNECT_LIMIT = timedelta(seconds=5)
SILENCE_LIMIT = timedelta(seconds=60)  # of a server that has the request
WHOLE_LIMIT = timedelta(hours=1)  # for the longest recording on a slow line
RETRIES = 2  # of one request; who asks for it tries again later
RETRY_LIMIT = timedelta(seconds=20)


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
    """The objects below one folder, or in one bucket. Made without touching it."""

    def __init__(self, place: Path | Bucket) -> None:
        self._place = place

    def put(self, name: str, content: BinaryIO) -> None:
        """Keep the rest of `content` under this name, in the place of what was there.

        Raises StoreFails, as when the disk is full: then what was there is there still.
        """
        try:
            with _told(name):
                if isinstance(self._place, Path):
                    self._put_file(self._place, name, content)
                else:
                    obstore.put(self._store(), name, content, chunk_size=S3_PART, max_concurrency=1)
        except ObjectMissing as exc:
            raise StoreFails(f"there is no such place for {name}: make the bucket") from exc

    def reach(self) -> None:
        """Raises StoreFails when the store does not answer, or is not there."""
        with _told("its beginning"):
            next(iter(obstore.list(self._store(), "reach", chunk_size=1)), None)

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

    def _put_file(self, root: Path, name: str, content: BinaryIO) -> None:
        file = root / name
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove_unfinished(file)
        obstore.put(self._store(), name, content, chunk_size=PART, max_concurrency=1)
        file.chmod(0o600)
        _sync(file)
        for folder in (file.parent, *file.parent.parents[: len(Path(name).parts) - 1]):
            _sync(folder)

    def _store(self) -> LocalStore | S3Store:
        if isinstance(self._place, Path):
            return LocalStore(self._place, mkdir=True)
        return _client(self._place)


@cache
def _client(bucket: Bucket) -> S3Store:
    """With the connections that it keeps open: one for each bucket of a process."""
    # By path: most servers of one's own know no buckets by host name.
    named: S3Config = {"bucket": bucket.name, "virtual_hosted_style_request": False}
    if bucket.endpoint is not None:
        named["endpoint"] = bucket.endpoint
    if bucket.region is not None:
        named["region"] = bucket.region
    if bucket.key is not None and bucket.secret is not None:
        named["access_key_id"], named["secret_access_key"] = bucket.key, bucket.secret
    return S3Store(
        config=named,
        prefix=bucket.prefix,
        client_options={
            "allow_http": (bucket.endpoint or "").startswith("http://"),
            "connect_timeout": CONNECT_LIMIT,
            "read_timeout": SILENCE_LIMIT,
            "timeout": WHOLE_LIMIT,
        },
        retry_config={"max_retries": RETRIES, "retry_timeout": RETRY_LIMIT},
    )


def _remove_unfinished(file: Path) -> None:
    """What puts that were killed have left: obstore writes `file#1`, or `file#2` beside such a one.

    By their names, for a day's folder may hold thousands.
    """
    for number in itertools.count(1):
        try:
            file.with_name(f"{file.name}#{number}").unlink()
        except FileNotFoundError:
            return


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
