"""Object storage: named bytes in a folder or a bucket, stored as a whole or not at all.

These functions block. An object that was put is durable: it is on the disk, or S3 has confirmed it.
"""

import itertools
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.s3_url import S3Location
from callcenter.platform.core.secrets import shared_rights

if TYPE_CHECKING:  # there is no such name while it runs
    from obstore.store import S3Config

#: In one request, so that memory does not grow with an object.
PART = 1024 * 1024
S3_PART = 8 * PART  # S3 takes no parts below 5 MiB but the last
CONNECT_TIMEOUT = timedelta(seconds=5)
RESPONSE_TIMEOUT = timedelta(seconds=60)  # of a server that has the request
TRANSFER_TIMEOUT = timedelta(hours=1)  # for the longest recording on a slow line
RETRIES = 2  # of one request; who asks for it tries again later
RETRY_TIMEOUT = timedelta(seconds=20)


class ObjectMissing(OperationFailed):
    """An object that should be in the store is not there."""


class ObjectStoreUnavailable(OperationFailed):
    """The object store does not answer, or refuses."""


class Listed(NamedTuple):
    """An object: its name, size in bytes, and when it was put."""

    name: str
    size: int
    at: datetime


class Objects:
    """The objects below one folder, or in one bucket. Made without touching it."""

    def __init__(self, place: Path | S3Location) -> None:
        self._place = place

    def put(self, name: str, content: BinaryIO) -> None:
        """Put the rest of `content` under this name, replacing an older object.

        Raises ObjectStoreUnavailable, as when the disk is full: then what was there is there still.
        """
        try:
            with _as_our_errors(name):
                if isinstance(self._place, Path):
                    self._put_file(self._place, name, content)
                else:
                    obstore.put(self._store(), name, content, chunk_size=S3_PART, max_concurrency=1)
        except ObjectMissing as exc:
            raise ObjectStoreUnavailable(
                f"there is no such place for {name}: make the bucket"
            ) from exc

    def reach(self) -> None:
        """Check that the store answers. Raises ObjectStoreUnavailable."""
        with _as_our_errors("its beginning"):
            next(iter(obstore.list(self._store(), "reach", chunk_size=1)), None)

    def read(self, name: str, start: int, length: int) -> bytes:
        """Read `length` bytes from `start`; fewer at the end.

        Raises ObjectMissing and ObjectStoreUnavailable.
        """
        with _as_our_errors(name):
            found = obstore.get_range(self._store(), name, start=start, length=length)
            return found.to_bytes()

    def size(self, name: str) -> int:
        """Size in bytes. Raises ObjectMissing and ObjectStoreUnavailable."""
        with _as_our_errors(name):
            return obstore.head(self._store(), name)["size"]

    def stream(self, name: str) -> Iterator[bytes]:
        """The whole object, piece by piece. Raises ObjectMissing and ObjectStoreUnavailable."""
        with _as_our_errors(name):
            for piece in obstore.get(self._store(), name).stream(PART):
                yield bytes(piece)

    def list_objects(self, prefix: str) -> Iterator[Listed]:
        """The objects below a folder such as `2026/02/28`. Raises ObjectStoreUnavailable."""
        with _as_our_errors(prefix):
            for page in obstore.list(self._store(), prefix, chunk_size=1000):
                for each in page:
                    yield Listed(each["path"], each["size"], each["last_modified"])

    def remove(self, name: str) -> None:
        """Remove it if it is there. Raises ObjectStoreUnavailable."""
        try:
            with _as_our_errors(name):
                obstore.delete(self._store(), name)
        except ObjectMissing:
            return

    def _put_file(self, root: Path, name: str, content: BinaryIO) -> None:
        file = root / name
        shared = shared_rights(root) if root.exists() else 0
        file.parent.mkdir(mode=0o700 | shared, parents=True, exist_ok=True)
        _remove_unfinished(file)
        obstore.put(self._store(), name, content, chunk_size=PART, max_concurrency=1)
        file.chmod(0o600 | shared & stat.S_IRGRP)
        sync_to_disk(file)
        for folder in (file.parent, *file.parent.parents[: len(Path(name).parts) - 1]):
            sync_to_disk(folder)

    def _store(self) -> LocalStore | S3Store:
        if isinstance(self._place, Path):
            return LocalStore(self._place, mkdir=True)
        return _client(self._place)


@cache
def _client(bucket: S3Location) -> S3Store:
    """The client of a bucket, one for each in a process, with its connections."""
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
            "connect_timeout": CONNECT_TIMEOUT,
            "read_timeout": RESPONSE_TIMEOUT,
            "timeout": TRANSFER_TIMEOUT,
        },
        retry_config={"max_retries": RETRIES, "retry_timeout": RETRY_TIMEOUT},
    )


def _remove_unfinished(file: Path) -> None:
    """Remove leftovers of puts that were killed: obstore's `file#1`, `file#2`.

    By their names, for a day's folder may hold thousands.
    """
    for number in itertools.count(1):
        try:
            file.with_name(f"{file.name}#{number}").unlink()
        except FileNotFoundError:
            return


def sync_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _as_our_errors(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as exc:
        raise ObjectMissing(f"{name} is not in the store") from exc
    except (BaseError, OSError, ValueError) as exc:
        raise ObjectStoreUnavailable(
            f"the object store fails at {name}: {str(exc).splitlines()[0]}"
        ) from exc
