"""The spool: the folder into which the switch records, on a file system of the same machine."""

import errno
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from callcenter.errors import WeFailed

ROOM = 1024**2  # bytes: of two channels of a conversation, 33 seconds
_CALL = "[A-Za-z0-9][A-Za-z0-9._-]{0,127}"  # as the ids of Asterisk's channels are
_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_OF_CONVERSATION = re.compile(f"({_CALL})-({_UUID})[.]raw")
_OF_FALLBACK = re.compile(f"fallback-({_CALL})[.]raw")


class DiskUsage(NamedTuple):
    """In bytes. `free` is what we may use: a part of the rest may be root's alone."""

    total: int
    used: int
    free: int

    @property
    def share(self) -> float:
        """What is used of what we may use."""
        return self.used / max(self.used + self.free, 1)


class Held(WeFailed):
    """Another worker has the spool."""


@contextmanager
def held(spool: Path) -> Iterator[None]:
    """The spool is this worker's alone; it is made when it is not there. Raises Held, OSError.

    The kernel lets go of it when the process is killed.
    """
    spool.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(spool, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise Held from exc
        yield
    finally:
        os.close(descriptor)


def name_for(call_id: str, recording_id: UUID) -> str:
    """The file of a conversation: whose it is can be read from it, whatever else is lost."""
    return f"{call_id}-{recording_id}.raw"


def read_name(name: str) -> tuple[str | None, UUID | None]:
    """The call and the recording that a file is named after, as far as its name tells.

    The dialplan names the files of the fallback after the call alone.
    """
    if found := _OF_CONVERSATION.fullmatch(name):
        return found[1], UUID(found[2])
    if found := _OF_FALLBACK.fullmatch(name):
        return found[1], None
    return None, None


def names(spool: Path) -> list[str]:
    """Of whatever lies there, as Python has them: a name that is no text too. Raises OSError."""
    return os.listdir(spool) if spool.is_dir() else []  # nothing was ever recorded


def recorded(spool: Path) -> list[str]:
    """The names of the files that the switch has recorded, or records. Raises OSError."""
    return [each for each in names(spool) if each.endswith(".raw") and each.isascii()]


def used(folder: Path) -> DiskUsage:
    """What is used of the disk where the folder is, or will be made. Blocks; raises OSError."""
    while not folder.exists():
        folder = folder.parent
    return DiskUsage(*shutil.disk_usage(folder))


def has_room(spool: Path) -> bool:
    """Whether more can be recorded, half a minute at least. Blocks; raises OSError."""
    usage = used(spool)
    return usage.free >= ROOM or usage.total == 0  # what is no disk says nothing


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
