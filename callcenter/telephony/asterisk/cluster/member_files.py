"""Member files: the kernel tells who is alive.

Each instance (one run of a controller, or of a watchdog) holds a lock on a file of its own in a
folder that all members of one Asterisk share. The kernel releases the lock however the process
ends, at once, and never before: so one that is late, or waits for the processor, is not dead, and
nobody has to look into another's /proc. One that is stopped, or hangs, is killed by its own
sentinel (`sentinel_program`). What others must know besides is written in the file, also from whom
it takes over: should it be frozen then, somebody else does.
"""

import fcntl
import logging
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import IntFlag
from pathlib import Path

from callcenter.platform.core.errors import DependencyUnavailable

log = logging.getLogger(__name__)

_LAYOUT = struct.Struct("=IQd")  # flags, ticks, heard_at
_CLAIMS_LIMIT = 4096  # bytes of the names that follow, at most
_CLAIM, _NEW = ".claim", ".new"  # suffixes of files that are no members
_READABLE = 0o644  # members may be other users


class MemberFlag(IntFlag):
    """A word of a member to the others."""

    SERVES = 1  #: serves calls, and takes over from others
    LEFT = 2  #: ends in order: what it had is the others' now
    OVERLOADED = 4  #: claims no new calls, being late itself


NO_FLAGS = MemberFlag(0)
_ALL_FLAGS = sum(MemberFlag)


@dataclass(frozen=True, slots=True)
class MemberRecord:
    """The content of a member's file."""

    flags: MemberFlag = NO_FLAGS
    ticks: int = 0  #: turns of its loop
    heard_at: float = 0.0  #: when it heard from Asterisk last, in seconds of the monotonic clock
    claims: tuple[str, ...] = ()  #: instances from which it takes over now

    def pack(self) -> bytes:
        claims = "/".join(self.claims).encode("ascii")  # names of files have no slash
        return _LAYOUT.pack(self.flags, self.ticks, self.heard_at) + claims + b"\n"


def parse_record(written: bytes) -> MemberRecord:
    """Parse the content of a member file; what a killed process left unwritten counts as zero."""
    flags, ticks, heard_at = _LAYOUT.unpack(written[: _LAYOUT.size].ljust(_LAYOUT.size, b"\0"))
    claims, is_whole, _ = written[_LAYOUT.size :].partition(b"\n")
    names = claims.decode("ascii", "replace").split("/") if is_whole and claims else ()
    return MemberRecord(MemberFlag(flags & _ALL_FLAGS), ticks, heard_at, tuple(names))


class MemberFile:
    """The file of one's own, locked as long as the process lives or until `close`."""

    def __init__(self, folder: Path, instance: str) -> None:
        """Make it. Raises DependencyUnavailable when the folder cannot be written."""
        self.path = folder / instance
        new = folder / (instance + _NEW)
        try:
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._file = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC, _READABLE)
        except OSError as exc:
            raise DependencyUnavailable(
                f"{folder} cannot be written: all controllers and the watchdog share it ({exc})"
            ) from exc
        os.fchmod(self._file, _READABLE)  # whatever the umask
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self.publish(MemberRecord())
        new.rename(self.path)  # nobody sees it without its lock

    def publish(self, record: MemberRecord) -> None:
        """Tell the others. A disk that is full or away is no reason to end calls."""
        with suppress(OSError):
            os.pwrite(self._file, record.pack(), 0)

    def close(self, *, remove: bool) -> None:
        """Release the lock; `remove` the file when nothing is left to take over."""
        if remove:
            _remove(self.path)
        os.close(self._file)


def read_members(folder: Path, but_for: str = "") -> Iterator[tuple[str, MemberRecord, bool]]:
    """Yield the instance of each member but one, its record, and whether it is alive."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return
    for name in sorted(names):
        if name == but_for or name.endswith((_CLAIM, _NEW)):
            continue
        try:
            file = os.open(f"{folder}/{name}", os.O_RDONLY)  # a Path would cost more than the rest
        except FileNotFoundError:  # removed meanwhile
            continue
        except OSError as exc:  # not dead for what we cannot see
            log.error("member file unreadable: %s: %s", name, exc)
            yield name, MemberRecord(), True
            continue
        try:
            written = os.pread(file, _LAYOUT.size + _CLAIMS_LIMIT, 0)
            yield name, parse_record(written), not _try_lock_shared(file)
        finally:
            os.close(file)


def is_admitting(folder: Path) -> bool:
    """Whether a controller is alive that claims new calls."""
    return any(
        is_alive and record.flags & (MemberFlag.SERVES | MemberFlag.OVERLOADED) == MemberFlag.SERVES
        for _, record, is_alive in read_members(folder)
    )


def is_taken_over(folder: Path, instance: str) -> bool:
    """Whether another takes over from this instance, or has done so."""
    return not (folder / instance).exists() or (folder / (instance + _CLAIM)).exists()


@contextmanager
def claimed(folder: Path, instance: str) -> Iterator[bool]:
    """Within the block nobody else takes over from this instance; false when another does.

    The kernel releases the claim of one that dies meanwhile, `release_claims` those of one that is
    frozen. Raises OSError.
    """
    path = folder / (instance + _CLAIM)
    file = os.open(path, os.O_RDONLY | os.O_CREAT, _READABLE)
    try:
        is_ours = _try_lock(file) and _is_same(file, path)
        try:
            yield is_ours
        finally:
            if is_ours and _is_same(file, path):  # else it was released, and may be another's
                _remove(path)
    finally:
        os.close(file)


def release_claims(folder: Path, claims: Iterable[str]) -> None:
    """Release these claims, whose holder is frozen: it asks its fence before it goes on."""
    for each in claims:
        _remove(folder / (each + _CLAIM))


def forget(folder: Path, instance: str) -> None:
    """Remove the file of an instance from which nothing is left."""
    _remove(folder / instance)


def _try_lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _try_lock_shared(file: int) -> bool:
    """Whether nobody holds the lock; those who ask are in nobody's way."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_same(file: int, path: Path) -> bool:
    """Whether the open file is still the one at this path: another claim may have ended."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _remove(path: Path) -> None:
    with suppress(OSError):  # another was first, or the folder is another user's
        path.unlink()
