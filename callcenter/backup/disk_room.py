"""Room on the disks of this machine, compared with what is needed before writing."""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from callcenter.platform.core.errors import OperationFailed

MEBIBYTE = 1024**2


def require_room(needed: Iterable[tuple[Path, int]]) -> None:
    """Require that all these bytes have room in their folders. Raises OperationFailed."""
    for each in find_shortages(needed):
        raise OperationFailed(f"{each}: make room; nothing was written yet")


def find_shortages(needed: Iterable[tuple[Path, int]]) -> Iterator[str]:
    """Shortages where all these bytes go, in words: an estimate is no reason to refuse.

    The folders need not be there yet. Those of one file system share it.
    """
    disks: dict[int, list[tuple[Path, int]]] = {}
    for folder, size in needed:
        existing = next(each for each in (folder, *folder.parents) if each.exists())
        disks.setdefault(existing.stat().st_dev, []).append((existing, size))
    for parts in disks.values():
        folder, total = parts[0][0], sum(size for _, size in parts)
        usage = shutil.disk_usage(folder)
        if usage.free < total and usage.total:  # what is no disk says nothing
            yield (
                f"{usage.free // MEBIBYTE} MiB free on the disk of {folder}, and "
                f"{-(-total // MEBIBYTE)} MiB are needed"
            )
