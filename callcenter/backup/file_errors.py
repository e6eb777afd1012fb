"""Errors of files in the commands of backup and restore: each is one line for a person."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from callcenter.platform.core.errors import OperationFailed

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def file_errors_named() -> Iterator[None]:
    """Raise an OSError of a file, or of a full disk, as OperationFailed that says which.

    Others are of connections: only the traceback tells which.
    """
    try:
        yield
    except OSError as exc:
        if exc.filename is None and exc.errno not in DISK_FULL:
            raise
        where = "" if exc.filename is None else f": {exc.filename}"
        raise OperationFailed(f"{exc.strerror}{where}") from exc
