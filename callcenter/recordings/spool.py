"""The spool: the folder into which the switch records, on a file system of the same machine."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from callcenter.errors import WeFailed


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


def recorded(spool: Path) -> list[str]:
    """The names of the files that the switch has recorded, or records. Raises OSError."""
    return [each.name for each in os.scandir(spool) if each.name.endswith(".raw")]


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
