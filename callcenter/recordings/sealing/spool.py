"""The spool: the folder that the switch records into, on a disk of the same machine."""

import errno
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from callcenter.platform.core.errors import OperationFailed

ROOM = 1024**2  # bytes: of two channels of a conversation, 33 seconds
ID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"  # of a recording, as a regular expression
_CALL = "[A-Za-z0-9][A-Za-z0-9._-]{0,127}"  # as the ids of Asterisk's channels are
_OF_CONVERSATION = re.compile(f"({_CALL})-({ID})[.]raw")
_OF_FALLBACK = re.compile(f"fallback-({_CALL})[.]raw")


class DiskUsage(NamedTuple):
    """Usage of a disk in bytes; `free` leaves out the part reserved for root."""

    total: int
    used: int
    free: int

    @property
    def share(self) -> float:
        """The used share of the space that we may use."""
        return self.used / max(self.used + self.free, 1)


class SpoolLocked(OperationFailed):
    """Another worker has the spool."""


@contextmanager
def lock(spool: Path) -> Iterator[None]:
    """Lock the spool for this worker; the folder is made if missing.

    Raises SpoolLocked, OSError. The kernel releases the lock when the process is killed.
    """
    spool.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(spool, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise SpoolLocked from exc
        yield
    finally:
        os.close(descriptor)


def name_for(call_id: str, recording_id: UUID) -> str:
    """The file name of a conversation: call and recording can be read from it."""
    return f"{call_id}-{recording_id}.raw"


def read_name(name: str) -> tuple[str | None, UUID | None]:
    """Parse the call and the recording from a file name.

    The dialplan names the files of the fallback after the call alone.
    """
    if found := _OF_CONVERSATION.fullmatch(name):
        return found[1], UUID(found[2])
    if found := _OF_FALLBACK.fullmatch(name):
        return found[1], None
    return None, None


def file_names(spool: Path) -> list[str]:
    """Names of all files in the spool, also undecodable ones. Raises OSError."""
    return os.listdir(spool) if spool.is_dir() else []  # nothing was ever recorded


def recorded_names(spool: Path) -> list[str]:
    """Names of the files that the switch has recorded, or records. Raises OSError."""
    return [each for each in file_names(spool) if each.endswith(".raw") and each.isascii()]


def disk_usage(folder: Path) -> DiskUsage:
    """Usage of the disk of the folder, or of its place if missing. Blocks; raises OSError."""
    while not folder.exists():
        folder = folder.parent
    return DiskUsage(*shutil.disk_usage(folder))


def has_room(spool: Path) -> bool:
    """Whether there is room for half a minute of a recording. Blocks; raises OSError."""
    usage = disk_usage(spool)
    return usage.free >= ROOM or usage.total == 0  # what is no disk says nothing


def is_untouched(file: Path, since: datetime) -> bool:
    """Whether a file is empty and closed, and no byte was to be written to it since then.

    The kernel dates a file also when a write fails, as on a full disk. Raises OSError.
    """
    about = file.stat()
    dated = datetime.fromtimestamp(about.st_mtime, UTC)
    return about.st_size == 0 and dated < since and is_closed(file)


def is_closed(file: Path) -> bool:
    """Whether no process has the file open for writing: only then is a read lease granted.

    Asterisk tells nobody that it has closed a file after a hang-up, and nothing at all is heard
    while AMI is away: this is the proof. Raises OSError: the file is not there, belongs to another
    user, or its file system knows no leases.
    """
    descriptor = os.open(file, os.O_RDONLY)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as exc:
        if exc.errno != errno.EAGAIN:
            raise
        return False
    finally:
        os.close(descriptor)
    return True
