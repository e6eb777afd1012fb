"""Reading on in the ledger's files, whatever became of them since. These functions block.

Where reading stopped is known by the file's first bytes, which hold a time in microseconds and an
id, and not by its inode: so a ledger that was renamed, copied and truncated, or truncated and has
grown again is told apart, and so is a new file that has got an old one's inode.
"""

import hashlib
import logging
import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from callcenter.settings import Settings

log = logging.getLogger(__name__)

PIECE = 256 * 1024  # bytes read at once: what reading costs in memory, however long the ledger is
HEAD = 512  # bytes by which a file is known again
PACKED = (".gz", ".xz", ".bz2", ".zst")


def ledger_of(settings: Settings) -> Path:
    """The file that Asterisk writes (asterisk-conf/cel_custom.conf.j2)."""
    return settings.asterisk_folder / "log" / "cel-custom" / "ledger.jsonl"


@dataclass(frozen=True, slots=True)
class Position:
    """How far the ledger was read: `offset` bytes of the file that begins with `head`.

    `head` is the SHA-256 of its first `HEAD` bytes (or `offset`, if that is less); `written_ns` is
    when it had been written to last, in nanoseconds since the epoch.
    """

    head: str
    offset: int
    written_ns: int


START = Position("", 0, 0)


@dataclass(frozen=True, slots=True)
class Piece:
    """Lines without their ends, and the position after them."""

    lines: list[bytes]
    after: Position


def read(ledger: Path, position: Position) -> Piece | None:
    """The next lines after `position`, from renamed predecessors first; None: nothing new.

    A last line without its end waits until it is whole; in a predecessor, or longer than a piece,
    it never will be, and is passed over. A position that is in no file any more (the ledger was
    truncated, or packed too early) starts with the files written to since. Raises OSError.
    """
    with ExitStack() as stack:
        files = _opened(ledger, stack)
        at = [number for number, file in enumerate(files) if _is_in(file, position)]
        if at:
            files, offset = files[at[-1] :], position.offset
        else:
            files, offset = [file for file in files if _written(file) >= position.written_ns], 0
        for file in files:
            piece = _piece(file, offset)
            if piece is not None:
                return piece
            offset = 0
    return None


def _piece(file: BinaryIO, offset: int) -> Piece | None:
    written_ns = _written(file)
    file.seek(offset)
    data = file.read(PIECE)
    end = data.rfind(b"\n") + 1
    if not end and len(data) == PIECE:
        log.error("the ledger has a line longer than %d bytes; passed over", PIECE)
        end = PIECE
    if not end:
        return None
    after = Position(_head(file, offset + end), offset + end, written_ns)
    return Piece(data[:end].split(b"\n"), after)


def _opened(ledger: Path, stack: ExitStack) -> list[BinaryIO]:
    """The ledger's files, the oldest first, the one that is written to last."""
    try:
        entries = [entry for entry in ledger.parent.iterdir() if _is_part(entry, ledger)]
        entries.sort(key=lambda entry: (entry == ledger, entry.stat().st_mtime_ns))
        return [stack.enter_context(entry.open("rb")) for entry in entries]
    except FileNotFoundError:
        return []  # no call yet; or renamed this very moment, and the next reading finds it


def _is_part(entry: Path, ledger: Path) -> bool:
    return entry.name.startswith(ledger.name) and entry.suffix not in PACKED


def _is_in(file: BinaryIO, position: Position) -> bool:
    size = os.fstat(file.fileno()).st_size
    return 0 < position.offset <= size and _head(file, position.offset) == position.head


def _head(file: BinaryIO, offset: int) -> str:
    file.seek(0)
    return hashlib.sha256(file.read(min(offset, HEAD))).hexdigest()


def _written(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_mtime_ns
