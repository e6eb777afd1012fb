"""Processes that tests started and did not end."""

import time
from collections.abc import Mapping
from pathlib import Path

import psutil

VARIABLE = "TEST_RUN"  # whatever the tests start inherits it, and is found by it
_POLL_INTERVAL = 0.1  # seconds
_DEATH_TIMEOUT = 5.0  # seconds that the kernel may take to end what was killed


def running(run: str, folder: Path) -> Mapping[int, str]:
    """Command lines of the processes of a run, by process id.

    Those that have its word in their environment, or that work below its folder: Redis and
    PostgreSQL write their titles over their environments.
    """
    return {process.pid: command for process, command in _processes(run, folder)}


def end(run: str, folder: Path, grace: float) -> Mapping[int, str]:
    """Wait up to `grace` seconds for the processes of a run, then kill those that are left.

    Returns those that were killed.
    """
    deadline = time.monotonic() + grace
    while (left := _processes(run, folder)) and time.monotonic() < deadline:
        time.sleep(_POLL_INTERVAL)
    for process, _ in left:
        try:
            process.kill()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    deadline = time.monotonic() + _DEATH_TIMEOUT
    while _processes(run, folder) and time.monotonic() < deadline:
        time.sleep(_POLL_INTERVAL)
    return {process.pid: command for process, command in left}


def _processes(run: str, folder: Path) -> list[tuple[psutil.Process, str]]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and _is_of(process, run, folder):
                found.append((process, " ".join(process.cmdline())))
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue  # it ended meanwhile, or is somebody else's
    return found


def _is_of(process: psutil.Process, run: str, folder: Path) -> bool:
    if process.environ().get(VARIABLE) == run:
        return True
    return Path(process.cwd()).is_relative_to(folder.resolve())
