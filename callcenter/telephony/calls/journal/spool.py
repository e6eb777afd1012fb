"""On-disk spool of the journal: entries that wait for the database survive their process.

Each process has a file of its own, locked while it is alive: the kernel unlocks it when it is
killed, and whoever locks it then replays it (`replay.py`). It has phone numbers: the folder is
0700, files are 0600, but for a group that shares the folder. Nothing here runs in the event loop.
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
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.shared_folders import mode_in
from callcenter.telephony.calls.journal.codec import UnreadableLine, decode, encode
from callcenter.telephony.calls.journal.events import Entry

log = logging.getLogger(__name__)

SUFFIX = ".journal"
QUARANTINE_FOLDER = "aside"  # below the folder of the spools, for lines that cannot be stored
FULL_WARNING_SHARE = 0.8  # of the limit, at which operators are warned
Result = TypeVar("Result")


class SpoolWriteFailed(OperationFailed):
    """Entries cannot be spooled: they are in the memory of the process only."""


class JournalSpool:
    """Spool of one process; the file exists while entries wait for the database."""

    def __init__(self, folder: Path, owner: str, limit: int) -> None:
        """`limit` is in bytes; `owner` is the name of the process, as in `line-1`."""
        self.folder = folder
        self.owner = owner
        self._limit = limit
        self._path = folder / f"{owner}.{uuid4().hex}{SUFFIX}"
        self._file: int | None = None
        self._size = 0
        # A thread of its own: a disk that hangs must not block the shared pool.
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
        """Append entries and sync. Raises SpoolWriteFailed; then none is on disk."""
        await self._in_thread(lambda: self._append(entries))

    async def remove(self) -> None:
        """Remove the file: all entries are in the database."""
        await self._in_thread(self._remove)

    async def quarantine(self, entry: Entry) -> None:
        """Quarantine an entry that the database refuses. Raises SpoolWriteFailed."""
        await self._in_thread(lambda: quarantine_lines(self.folder, "refused", [encode(entry)]))

    def close(self) -> None:
        """Finish the current write in the background and unlock the file."""
        self._thread.submit(self._close)
        self._thread.shutdown(wait=False)

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except OSError as exc:
            raise SpoolWriteFailed(f"cannot write {self._path.name}: {exc.strerror}") from exc

    def _append(self, entries: Sequence[Entry]) -> None:
        lines = b"".join(map(encode, entries))
        if self._size + len(lines) > self._limit:
            raise SpoolWriteFailed(
                f"the journal on disk has reached its limit of {self._limit} bytes"
            )
        if self._file is None:
            self._file = _create(self._path)
        try:
            write_all(self._file, lines)
            os.fdatasync(self._file)
        except OSError:
            # Half a line would damage the next one.
            os.ftruncate(self._file, self._size)
            os.lseek(self._file, self._size, os.SEEK_SET)
            raise
        self._warn_when_nearly_full(self._size + len(lines))
        self._size += len(lines)

    def _warn_when_nearly_full(self, size: int) -> None:
        soon = FULL_WARNING_SHARE * self._limit
        if self._size < soon <= size:
            log.critical("spool nearly full: %d of %d bytes", size, self._limit)

    def _remove(self) -> None:
        self._path.unlink(missing_ok=True)
        self._close()

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
        self._file, self._size = None, 0


@dataclass(frozen=True, slots=True)
class OrphanedSpool:
    """Spool of a dead process, locked by the holder of this object."""

    path: Path
    entries: list[Entry]
    descriptor: int

    def remove(self) -> None:
        """Remove the file: its entries are in the database. Blocks; raises OSError."""
        self.path.unlink(missing_ok=True)

    def release(self) -> None:
        """Unlock the file."""
        os.close(self.descriptor)


def orphaned_spools(
    folder: Path, *, of: str | None = None, quiet: float = 0.0
) -> Iterator[OrphanedSpool]:
    """Yield the spools of dead processes, the oldest first, each locked. Blocks.

    `of` is the name of a process; `quiet` is the number of seconds without a write. Damaged lines
    are quarantined. Raises OSError.
    """
    for path in sorted(pending_spools(folder), key=_last_written):
        if of is not None and path.name.partition(".")[0] != of:
            continue
        if 0 <= time.time() - _last_written(path) < quiet:  # negative: the clock was set
            continue
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # another process replayed it
            continue
        if not _lock(descriptor) or not path.exists():
            os.close(descriptor)
            continue
        yield OrphanedSpool(path, list(_read(folder, path)), descriptor)


def pending_spools(folder: Path) -> list[Path]:
    """Return the spools with entries that are not in the database. Blocks."""
    return list(folder.glob(f"[!.]*{SUFFIX}"))


def last_spooled_at(folder: Path) -> datetime | None:
    """Return when a pending spool was last written; None without one. Blocks."""
    written = [_last_written(path) for path in pending_spools(folder)]
    return datetime.fromtimestamp(max(written), UTC) if written else None


def quarantined_files(folder: Path) -> list[Path]:
    """Return the files of quarantined lines, which need an operator. Blocks."""
    return sorted((folder / QUARANTINE_FOLDER).glob("*.lines"))


def quarantine_lines(folder: Path, why: str, lines: Sequence[bytes]) -> None:
    """Append lines to the file named after the reason. Raises OSError."""
    path = folder / QUARANTINE_FOLDER / f"{why}.lines"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    descriptor = os.open(path, flags, mode=mode_in(path.parent))
    try:
        write_all(descriptor, b"".join(lines))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(folder: Path, path: Path) -> Iterator[Entry]:
    *lines, torn = path.read_bytes().split(b"\n")
    if torn:
        log.warning("spool truncated: %s ends in the middle of a line", path.name)
    bad = []
    for number, line in enumerate(lines, 1):
        try:
            yield decode(line)
        except UnreadableLine as exc:
            log.critical("spool line quarantined: line %d of %s: %s", number, path.name, exc)
            bad.append(line + b"\n")
    if bad:
        quarantine_lines(folder, "unreadable", bad)


def _create(path: Path) -> int:
    """Create a file that is locked before others can see it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    hidden = path.with_name(f".{path.name}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(hidden, flags, mode=mode_in(path.parent))
    _lock(descriptor)
    hidden.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return descriptor


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _last_written(path: Path) -> float:
    with suppress(FileNotFoundError):
        return path.stat().st_mtime
    return time.time()


def write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
