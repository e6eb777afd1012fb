"""A folder whose files lie in memory and on no disk: a link to a place of its own in `/dev/shm`."""

import os
import shutil
import tempfile
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 the place in it is of this user alone


def into_memory(folder: Path, memory: Path = SHARED_MEMORY) -> bool:
    """Have what comes into this folder lie in memory, where nobody but this user can open it.

    False when it stays as it is: something is in it or mounted on it, or the machine has no such
    memory. What a copy that was killed left in memory is removed. Raises OSError.
    """
    out_of_memory(folder, memory)
    try:
        folder.rmdir()
    except FileNotFoundError:
        pass
    except OSError:  # not empty, or an operator's own mount
        return False
    if not os.access(memory, os.W_OK):
        return False
    folder.symlink_to(tempfile.mkdtemp(prefix="callcenter-", dir=memory))
    return True


def out_of_memory(folder: Path, memory: Path = SHARED_MEMORY) -> None:
    """Remove the place in memory, and all that is in it. Repeatable. Raises OSError."""
    if not folder.is_symlink():
        return
    place = Path(os.readlink(folder))
    if place.parent == memory:
        shutil.rmtree(place, ignore_errors=True)  # after a start of the machine it is not there
        folder.unlink()
