"""Which process on which machine a controller is, so that another may end it when it hangs."""

import os
import signal
from contextlib import suppress
from functools import cache
from pathlib import Path

_STARTED = 19  # of the fields of /proc/PID/stat that follow the name: proc_pid_stat(5), starttime


@cache
def machine() -> str:
    """This boot of this machine, and where its process ids mean something (containers)."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot} {os.readlink('/proc/self/ns/pid')}"


def started(pid: int) -> str:
    """When a process began, in ticks since the boot; empty when there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return ""
    return fields[_STARTED]


def kill(pid: int, began: str) -> bool:
    """Kill the process of this id that began then; whether it was there and might be.

    Also one that is stopped: what it asked for before is all that it ever asks for.
    """
    if pid == os.getpid():
        return False
    with suppress(OSError):
        process = os.pidfd_open(pid)
        try:  # from here on the id cannot become another's
            if started(pid) == began:
                signal.pidfd_send_signal(process, signal.SIGKILL)
                return True
        finally:
            os.close(process)
    return False
