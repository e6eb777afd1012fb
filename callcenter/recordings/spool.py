"""The spool: the folder into which the switch records, on a file system of the same machine."""

import errno
import fcntl
import os
from pathlib import Path


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
