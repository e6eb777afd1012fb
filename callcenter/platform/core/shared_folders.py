"""Folders that are shared with their group: those with the set-group-ID bit."""

import stat
from pathlib import Path


def mode_in(folder: Path) -> int:
    """The mode for files in the folder: 0660 where it is shared with its group, else 0600.

    The umask must leave that to them, as the units do (0007). Raises OSError.
    """
    return 0o660 if folder.stat().st_mode & stat.S_ISGID else 0o600
