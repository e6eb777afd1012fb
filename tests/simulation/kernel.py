"""Kernel of the simulated machine: files, descriptors, flock(2).

It stands in for the modules `os` and `fcntl` of `member_files` and of the journal's spool, whose
own code runs: who died has no descriptors any more, so its locks are free at once. The contract of
its locks with those of the real kernel is in `tests/simulation/test_kernel.py`.
"""

import errno
import fcntl
import fnmatch
import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace

from tests.simulation.loop import PROCESS, Owner


@dataclass(eq=False)
class File:
    """A file, by its number; `locks` are descriptors, with whether each is exclusive."""

    number: int
    content: bytearray = field(default_factory=bytearray)
    locks: dict[int, bool] = field(default_factory=dict)
    written_at: float = 0.0  #: epoch seconds


class Kernel:
    """Files of all processes, and who has which open."""

    def __init__(self, clock: Callable[[], float] = float) -> None:
        """`clock` gives epoch seconds."""
        self._clock = clock
        self._files: dict[str, File] = {}
        self._open: dict[int, tuple[File, Owner | None]] = {}
        self._numbers = itertools.count(1)
        #: In place of the module `os`.
        self.os = SimpleNamespace(
            **{name: flag for name, flag in vars(os).items() if name.startswith("O_")},
            close=self._close,
            fchmod=lambda descriptor, mode: None,
            fdatasync=lambda descriptor: None,
            fstat=self._fstat,
            fsync=lambda descriptor: None,
            listdir=self.list_folder,
            open=self._open_file,
            path=os.path,
            pread=self._pread,
            pwrite=self._pwrite,
            write=self._write,
        )
        #: In place of the module `fcntl`.
        self.fcntl = SimpleNamespace(
            LOCK_EX=fcntl.LOCK_EX,
            LOCK_SH=fcntl.LOCK_SH,
            LOCK_NB=fcntl.LOCK_NB,
            flock=self._flock,
        )

    def end_process(self, owner: Owner) -> None:
        """Close all that a dead process had open."""
        for descriptor in [each for each, (_, who) in self._open.items() if who is owner]:
            self._close(descriptor)

    def read(self, path: str) -> bytes:
        """The content of a file; empty when there is none."""
        file = self._files.get(path)
        return bytes(file.content) if file else b""

    def holder_of(self, path: str) -> Owner | None:
        """The process that has a lock on this file."""
        file = self._files.get(path)
        holders = [] if file is None else [self._open[each][1] for each in file.locks]
        return holders[0] if holders else None

    # System calls

    def _open_file(self, path: object, flags: int, mode: int = 0o777) -> int:
        name = str(path)
        file = File(0) if flags & os.O_DIRECTORY else self._files.get(name)
        if file is None:
            if not flags & os.O_CREAT:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
            file = self._files[name] = File(next(self._numbers))
        elif flags & os.O_TRUNC:
            file.content.clear()
        descriptor = next(self._numbers)
        self._open[descriptor] = (file, PROCESS.get())
        return descriptor

    def _file(self, descriptor: int) -> File:
        if descriptor not in self._open:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._open[descriptor][0]

    def _close(self, descriptor: int) -> None:
        self._file(descriptor).locks.pop(descriptor, None)
        del self._open[descriptor]

    def _fstat(self, descriptor: int) -> SimpleNamespace:
        return SimpleNamespace(st_ino=self._file(descriptor).number, st_dev=1)

    def list_folder(self, folder: object) -> list[str]:
        prefix = f"{folder}/"
        return [name.removeprefix(prefix) for name in self._files if name.startswith(prefix)]

    def _pread(self, descriptor: int, size: int, offset: int) -> bytes:
        return bytes(self._file(descriptor).content[offset : offset + size])

    def _pwrite(self, descriptor: int, data: bytes, offset: int) -> int:
        file = self._file(descriptor)
        file.content[offset : offset + len(data)] = data
        file.written_at = self._clock()
        return len(data)

    def _write(self, descriptor: int, data: memoryview) -> int:
        """Append: nobody here writes anywhere else by it."""
        return self._pwrite(descriptor, bytes(data), len(self._file(descriptor).content))

    def _flock(self, descriptor: int, operation: int) -> None:
        locks = self._file(descriptor).locks
        is_exclusive = bool(operation & fcntl.LOCK_EX)
        others = [mode for each, mode in locks.items() if each != descriptor]
        if any(others) or (is_exclusive and others):
            assert operation & fcntl.LOCK_NB, "a simulated process would wait for a lock for ever"
            raise BlockingIOError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK))
        locks[descriptor] = is_exclusive

    # What paths do

    def exists(self, path: str) -> bool:
        return path in self._files

    def stat(self, path: str) -> SimpleNamespace:
        if path not in self._files:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        file = self._files[path]
        return SimpleNamespace(st_ino=file.number, st_dev=1, st_mtime=file.written_at)

    def unlink(self, path: str) -> None:
        if self._files.pop(path, None) is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)

    def rename(self, path: str, other: str) -> None:
        self._files[other] = self._files.pop(path)


class KernelPath:
    """A path of the simulated machine, in place of `pathlib.Path`."""

    def __init__(self, kernel: Kernel, path: str) -> None:
        self._kernel = kernel
        self._path = path

    def __str__(self) -> str:
        return self._path

    def __truediv__(self, name: str) -> "KernelPath":
        return KernelPath(self._kernel, f"{self._path}/{name}")

    @property
    def name(self) -> str:
        return self._path.rpartition("/")[2]

    @property
    def parent(self) -> "KernelPath":
        return KernelPath(self._kernel, self._path.rpartition("/")[0])

    def with_name(self, name: str) -> "KernelPath":
        return self.parent / name

    def glob(self, pattern: str) -> "list[KernelPath]":
        return [self / each for each in fnmatch.filter(self._kernel.list_folder(self), pattern)]

    def read_bytes(self) -> bytes:
        return self._kernel.read(self._path)

    def exists(self) -> bool:
        return self._kernel.exists(self._path)

    def mkdir(self, mode: int = 0o777, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Nothing: folders are there as soon as they have files."""

    def rename(self, other: "KernelPath") -> None:
        self._kernel.rename(self._path, str(other))

    def stat(self) -> SimpleNamespace:
        return self._kernel.stat(self._path)

    def unlink(self, *, missing_ok: bool = False) -> None:
        if self.exists() or not missing_ok:
            self._kernel.unlink(self._path)
