"""Processes that tests started and did not end."""

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "TEST_RUN"  # whatever the tests start inherits it, and is found by it
_POLL_INTERVAL = 0.1  # seconds


def running(run: str) -> Mapping[int, str]:
    """Command lines of the processes of a run, by process id."""
    word = f"{VARIABLE}={run}".encode()
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if word in (process / "environ").read_bytes().split(b"\0"):
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ")
                found[int(process.name)] = command.decode(errors="replace").strip()
        except OSError:
            continue  # it ended meanwhile
    return found


def end(run: str, grace: float) -> Mapping[int, str]:
    """Wait up to `grace` seconds for the processes of a run, then kill those that are left.

    Returns those that were killed.
    """
    deadline = time.monotonic() + grace
    while (left := running(run)) and time.monotonic() < deadline:
        time.sleep(_POLL_INTERVAL)
    for process in left:
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return left
