"""Room on the disks of this machine, compared with what is needed before anything is written."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from callcenter.platform.core.errors import OperationFailed

MEBIBYTE = 1024**2


def require_room(needed: Iterable[tuple[Path, int]]) -> None:
    """Require that all these bytes have room in their folders, which need not be there yet.

    Folders of one file system share it. Raises OperationFailed.
    """
    disks: dict[int, list[tuple[Path, int]]] = {}
    for folder, size in needed:
        existing = next(each for each in (folder, *folder.parents) if each.exists())
        disks.setdefault(existing.stat().st_dev, []).append((existing, size))
    for parts in disks.values():
        folder, total = parts[0][0], sum(size for _, size in parts)
        usage = shutil.disk_usage(folder)
        if usage.free < total and usage.total:  # what is no disk says nothing
            raise OperationFailed(
                f"{usage.free // MEBIBYTE} MiB free on the disk of {folder}, and "
                f"{-(-total // MEBIBYTE)} MiB are needed: make room; nothing was written yet"
            )
