"""Folders that a backup holds: an extension point of rooms."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from callcenter.platform.core.settings import Settings


@dataclass(frozen=True)
class BackupFolder:
    """A folder of files that a backup holds and a restore brings back, beside the database.

    `key` is its name in archives: it stays, since older ones have it.
    """

    key: str
    find: Callable[[Settings], Path]
