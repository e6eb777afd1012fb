"""Folders that a backup holds: an extension point of rooms."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.settings import Settings

#: Names in archives of what no room offers.
RESERVED = frozenset(("secrets", "settings", "database", "store", "listing", "manifest"))


@dataclass(frozen=True)
class BackupFolder:
    """A folder of files that a backup holds and a restore brings back, beside the database.

    `key`, a plain word, is its name in archives: it stays, since older ones have it. Raises
    OperationFailed for one that is reserved.
    """

    key: str
    find: Callable[[Settings], Path]

    def __post_init__(self) -> None:
        if self.key in RESERVED or not self.key.isidentifier():
            raise OperationFailed(f"a backup holds no folder of a room as {self.key!r}")
