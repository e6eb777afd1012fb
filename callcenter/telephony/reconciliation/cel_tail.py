"""Tail of the CEL file across rotation and truncation. These functions block.

The position is identified by the file's first bytes, which hold a time in microseconds and an
id, and not by its inode: so a file that was renamed, copied and truncated, or truncated and has
grown again is recognised, and so is a new file with an old one's inode.
"""

import hashlib
import logging
import os
import re
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.backup_folders import BackupFolder

log = logging.getLogger(__name__)

CHUNK_SIZE = 256 * 1024  # bytes read at once, which bounds the memory
HEAD_SIZE = 512  # bytes by which a file is identified
_DAY = re.compile(r"\.(20\d\d-[01]\d-[0-3]\d)(-\d+)?$")  # as cel_rotation names files
PACKED = (".gz", ".xz", ".bz2", ".zst")


def cel_file_of(settings: Settings) -> Path:
    """The CEL file that Asterisk writes (asterisk-conf/cel_custom.conf.j2)."""
    return settings.asterisk_folder / "log" / "cel-custom" / "ledger.jsonl"


CEL_LOG = BackupFolder("ledger", lambda settings: cel_file_of(settings).parent)


@dataclass(frozen=True, slots=True)
class FilePosition:
    """A position in the CEL files: `offset` bytes of the file that begins with `head`.

    `head` is the SHA-256 of its first `HEAD` bytes (or `offset`, if that is less); `written_ns` is
    when it had been written to last, in nanoseconds since the epoch.
    """

    head: str
    offset: int
    written_ns: int


START = FilePosition("", 0, 0)


@dataclass(frozen=True, slots=True)
class FileChunk:
    """Lines without their ends, and the position after them."""

    lines: list[bytes]
    after: FilePosition


def read(cel_file: Path, position: FilePosition) -> FileChunk | None:
    """The next lines after `position`, from rotated files first; None: nothing new.

    A last line without its end waits until it is whole; in a rotated file, or longer than a chunk,
    it never will be, and is skipped. A position that is in no file any more (the file was
    truncated, or packed too early) starts with the files written to since. Raises OSError.
    """
    with ExitStack() as stack:
        files = _open_files(cel_file, stack)
        at = [number for number, file in enumerate(files) if contains(file, position)]
        if at:
            files, offset = files[at[-1] :], position.offset
        else:
            files, offset = [file for file in files if _mtime_ns(file) >= position.written_ns], 0
        for file in files:
            chunk = _read_chunk(file, offset)
            if chunk is not None:
                return chunk
            offset = 0
    return None


def contains(file: BinaryIO, position: FilePosition) -> bool:
    """Whether the position is in this file."""
    size = os.fstat(file.fileno()).st_size
    return 0 < position.offset <= size and _head(file, position.offset) == position.head


def written_at(rotated: Path) -> float:
    """The UNIX time of a rotated file's last line: by the day in its name, else its own time.

    Masking changes its own. Raises OSError.
    """
    day = _DAY.search(rotated.name)
    if day is None:
        return rotated.stat().st_mtime
    return (datetime.fromisoformat(f"{day[1]}T00:00Z") + timedelta(days=1)).timestamp()


def _read_chunk(file: BinaryIO, offset: int) -> FileChunk | None:
    written_ns = _mtime_ns(file)
    file.seek(offset)
    data = file.read(CHUNK_SIZE)
    end = data.rfind(b"\n") + 1
    if not end and len(data) == CHUNK_SIZE:
        log.error("CEL line skipped: longer than %d bytes", CHUNK_SIZE)
        end = CHUNK_SIZE
    if not end:
        return None
    after = FilePosition(_head(file, offset + end), offset + end, written_ns)
    return FileChunk(data[:end].split(b"\n"), after)


def _open_files(cel_file: Path, stack: ExitStack) -> list[BinaryIO]:
    """The CEL files, the oldest first, the current one last."""
    try:
        entries = [entry for entry in cel_file.parent.iterdir() if _is_rotated(entry, cel_file)]
        entries.sort(key=lambda entry: (entry == cel_file, written_at(entry), entry.name))
        return [stack.enter_context(entry.open("rb")) for entry in entries]
    except FileNotFoundError:
        return []  # no call yet; or renamed at this moment, and the next reading finds it


def _is_rotated(entry: Path, cel_file: Path) -> bool:
    return entry.name.startswith(cel_file.name) and entry.suffix not in PACKED


def _head(file: BinaryIO, offset: int) -> str:
    file.seek(0)
    return hashlib.sha256(file.read(min(offset, HEAD_SIZE))).hexdigest()


def _mtime_ns(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_mtime_ns
