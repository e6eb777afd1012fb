"""The journal on disk: what waits for the database survives the process that wrote it down.

Each life of a process has a file of its own, locked as long as it lives: the kernel unlocks it when
it is killed, and whoever locks it then is its heir (`inherit`). Phone numbers are in it: the folder
is 0700, files are 0600. Nothing here runs in the event loop.
"""

import asyncio
import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from callcenter.errors import WeFailed
from callcenter.line.encoding import UnreadableLine, decode, encode
from callcenter.line.entries import Entry

log = logging.getLogger(__name__)

SUFFIX = ".journal"
ASIDE = "aside"  # the folder, below that of the journals, of what no database takes
FULL_SOON = 0.8  # of the limit: the operator is told
Result = TypeVar("Result")


class NotOnDisk(WeFailed):
    """Entries of the journal cannot be put on disk: they are in the memory of the process alone."""


class Backlog:
    """The file of one life of one process; it exists while something waits for the database."""

    def __init__(self, folder: Path, owner: str, limit: int) -> None:
        """`limit` is in bytes; `owner` is the name of the process, as in `line-1`."""
        self.folder = folder
        self.owner = owner
        self._limit = limit
        self._path = folder / f"{owner}.{uuid4().hex}{SUFFIX}"
        self._file: int | None = None
        self._size = 0
        # A thread of its own: a disk that hangs must not take those that others use.
        self._thread = ThreadPoolExecutor(1, "journal")

    @property
    def size(self) -> int:
        """Bytes on disk now."""
        return self._size

    @property
    def exists(self) -> bool:
        """Whether there is a file."""
        return self._file is not None

    async def append(self, entries: Sequence[Entry]) -> None:
        """Return when they are on the disk. Raises NotOnDisk: none of them is."""
        await self._in_thread(lambda: self._append(entries))

    async def remove(self) -> None:
        """All that was appended is in the database."""
        await self._in_thread(self._remove)

    async def set_aside(self, entry: Entry) -> None:
        """Keep what no database takes for somebody who looks. Raises NotOnDisk."""
        await self._in_thread(lambda: put_aside(self.folder, "refused", [encode(entry)]))

    def close(self) -> None:
        """End what is being written, in the background, and let others inherit the file."""
        self._thread.submit(self._close)
        self._thread.shutdown(wait=False)

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except OSError as exc:
            raise NotOnDisk(f"cannot write {self._path.name}: {exc.strerror}") from exc

    def _append(self, entries: Sequence[Entry]) -> None:
        lines = b"".join(map(encode, entries))
        if self._size + len(lines) > self._limit:
            raise NotOnDisk(f"the journal on disk has reached its limit of {self._limit} bytes")
        if self._file is None:
            self._file = _created(self._path)
        try:
            _write_all(self._file, lines)
            os.fdatasync(self._file)
        except OSError:
            # Half a line before others would make one of both; what has no room is not kept.
            os.ftruncate(self._file, self._size)
            os.lseek(self._file, self._size, os.SEEK_SET)
            raise
        self._tell_when_full_soon(self._size + len(lines))
        self._size += len(lines)

    def _tell_when_full_soon(self, size: int) -> None:
        soon = FULL_SOON * self._limit
        if self._size < soon <= size:
            log.critical("the journal on disk fills: %d of %d bytes are used", size, self._limit)

    def _remove(self) -> None:
        self._path.unlink(missing_ok=True)
        self._close()

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
        self._file, self._size = None, 0


@dataclass(frozen=True, slots=True)
class Estate:
    """What a dead process left on disk, locked for whoever holds this."""

    path: Path
    entries: list[Entry]
    descriptor: int

    def remove(self) -> None:
        """Its entries are in the database. Blocks; raises OSError."""
        self.path.unlink(missing_ok=True)

    def release(self) -> None:
        """Let others inherit it, if it is still there."""
        os.close(self.descriptor)


def estates(folder: Path, *, of: str | None = None, quiet: float = 0.0) -> Iterator[Estate]:
    """The files of processes that live no more, the oldest first, each locked for us. Blocks.

    `of` is the process; `quiet` is for how many seconds nobody may have written to them. Lines that
    cannot be read are set aside. Raises OSError.
    """
    for path in sorted(waiting(folder), key=_written_at):
        if of is not None and path.name.partition(".")[0] != of:
            continue
        if 0 <= time.time() - _written_at(path) < quiet:  # less than nothing: the clock was set
            continue
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # settled by another heir
            continue
        if not _locked(descriptor) or not path.exists():
            os.close(descriptor)
            continue
        yield Estate(path, list(_read(folder, path)), descriptor)


def waiting(folder: Path) -> list[Path]:
    """The journals that are on disk because the database has not everything yet. Blocks."""
    return list(folder.glob(f"[!.]*{SUFFIX}"))


def set_aside(folder: Path) -> list[Path]:
    """Files of what was set aside: somebody must look at them. Blocks."""
    return sorted((folder / ASIDE).glob("*.lines"))


def put_aside(folder: Path, why: str, lines: Sequence[bytes]) -> None:
    """Add lines to the file that is named after why they were set aside. Raises OSError."""
    path = folder / ASIDE / f"{why}.lines"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    descriptor = os.open(path, flags, mode=0o600)
    try:
        _write_all(descriptor, b"".join(lines))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(folder: Path, path: Path) -> Iterator[Entry]:
    *lines, torn = path.read_bytes().split(b"\n")
    if torn:
        log.warning("%s ends in the middle of a line: its writer was killed there", path.name)
    bad = []
    for number, line in enumerate(lines, 1):
        try:
            yield decode(line)
        except UnreadableLine as exc:
            log.critical("line %d of %s is set aside: %s", number, path.name, exc)
            bad.append(line + b"\n")
    if bad:
        put_aside(folder, "unreadable", bad)


def _created(path: Path) -> int:
    """A new file that is locked before anybody can see it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    hidden = path.with_name(f".{path.name}")
    descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode=0o600)
    _locked(descriptor)
    hidden.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return descriptor


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _written_at(path: Path) -> float:
    with suppress(FileNotFoundError):
        return path.stat().st_mtime
    return time.time()


def _write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
