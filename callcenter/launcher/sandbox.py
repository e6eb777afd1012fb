"""Landlock sandboxes of the processes of one copy, which all run as one user.

Only `web` and `worker` need the keys that open recordings. Every other part is held by the kernel
(Landlock) to reading the system and what is named for it, and to writing what is named for it.
setpriv asks for that before the program begins, and it holds for all that the program starts; no
right of root undoes it. See docs/decisions/0053.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from callcenter.platform.core.errors import InvalidRequest

READ = "read-file"
EXECUTE = "execute"
WRITE = f"{READ},write-file,truncate"
MAKE = "refer,make-reg,make-dir,make-sym,make-sock,make-fifo,remove-file,remove-dir"
#: What is refused wherever no rule allows it. Devices are made nowhere: one is the whole disk.
REFUSED = f"fs:{WRITE},{MAKE},make-char,make-block"

#: Where programs of the machine read. Not /dev, where the disk lies raw, and nobody's home.
SYSTEM = tuple(
    Path("/", name)
    for name in (
        *("bin", "etc", "lib", "lib32", "lib64", "opt", "proc", "run", "sbin", "sys", "usr", "var"),
    )
)
DEVICES = tuple(Path("/dev", name) for name in ("full", "null", "random", "tty", "urandom", "zero"))


@dataclass(frozen=True)
class Sandbox:
    """The paths that a process may read and write; all of `hidden` is closed otherwise.

    What is named to be read and is not there, or holds what is hidden, is left out. Of programs it
    starts those in `executes` alone; None: any.
    """

    hidden: tuple[Path, ...]
    reads: tuple[Path, ...] = ()
    writes: tuple[Path, ...] = ()
    executes: tuple[Path, ...] | None = None

    def options(self) -> list[str]:
        """Options of setpriv, computed at each start: existing paths change.

        Makes the folders that may be written. Raises InvalidRequest when one of them holds what is
        hidden, OSError.
        """
        hidden = tuple(each.resolve() for each in self.hidden)
        executes = None if self.executes is None else {each.resolve() for each in self.executes}
        refused = REFUSED if executes is None else f"{REFUSED},{EXECUTE}"
        rules = [("--landlock-access", refused)]
        rules += [_rule(EXECUTE, each) for each in sorted(executes or ())]
        for folder in SYSTEM:
            rules += [_rule(READ, each) for each in _besides(folder.resolve(), hidden)]
        rules += [
            _rule(READ, each)
            for each in dict.fromkeys(map(Path.resolve, self.reads))
            if _is_there(each) and not _holds(each, hidden)
        ]
        rules += [_rule(WRITE, each) for each in DEVICES if _is_there(each)]
        for folder in self.writes:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if _holds(folder.resolve(), hidden):
                raise InvalidRequest(
                    f"keys and secrets must not be in {folder}, which other parts write: move "
                    "them, and correct CALLCENTER_KEYS_FOLDER or CALLCENTER_VAR"
                )
            rules.append(_rule(f"{WRITE},{MAKE}", folder))
        return [option for rule in rules for option in rule]


def can_confine() -> bool:
    """Whether this machine's kernel and setpriv support the sandbox. Blocks."""
    try:
        options = Sandbox(hidden=()).options()
        tried = subprocess.run(
            ("setpriv", *options, "--", "true"), capture_output=True, timeout=10, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return tried.returncode == 0


def _besides(path: Path, hidden: tuple[Path, ...]) -> Iterator[Path]:
    """The path, or its parts without the hidden ones."""
    if not _holds(path, hidden):
        if _is_there(path):
            yield path
        return
    if path in hidden:
        return
    with suppress(OSError):  # no part needs what its own user may not list
        for entry in os.scandir(path):
            if not entry.is_symlink():  # a rule would be for what it leads to
                yield from _besides(Path(entry), hidden)


def _is_there(path: Path) -> bool:
    """Whether the path can be seen: a rule for a missing one is an error."""
    try:
        path.stat()
    except OSError:
        return False
    return True


def _holds(path: Path, hidden: tuple[Path, ...]) -> bool:
    return any(each.is_relative_to(path) for each in hidden)


def _rule(access: str, path: Path) -> tuple[str, str]:
    return "--landlock-rule", f"path-beneath:{access}:{path}"
