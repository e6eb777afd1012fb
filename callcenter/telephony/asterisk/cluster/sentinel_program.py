"""Sentinel: a small child of each member that kills it when it is stopped, or hangs.

Members take over from those that are no more, and from nobody who is only late. So what is stopped
(SIGSTOP) or turns its loop no more although it has the processor must end, and only what runs as
the same user can tell, and may kill, wherever /proc hides the processes of others. How long a
process ran, and waited for the processor, are the scheduler's own figures: proc_pid_schedstat(5).

Run as a program of its own; needs nothing but the standard library.
"""

import os
import select
import signal
import struct
import sys
import time
from contextlib import suppress
from pathlib import Path

INTERVAL = 0.7  # seconds between two looks, but for the second at one that is stopped
STOPPED_LIMIT = 0.3  # seconds for which a process may be stopped: two looks
HANGING_LIMIT = 3.4  # seconds of its own for which its loop may not turn
_LOOK_LIMIT = 3 * INTERVAL  # what counts of the time between two looks: we may be late ourselves
_TICKS = struct.Struct("=IQ")  # of a member's file: flags, ticks
LEFT = 2  # the flag of one that ends in order: its loop may turn no more


class Diagnosis:
    """The state of a process, from look to look."""

    def __init__(self) -> None:
        self._at: float | None = None
        self._ran, self._waited, self._ticks = 0.0, 0.0, 0
        self._stopped_since: float | None = None
        self._hanging = 0.0  # seconds

    def look(self, now: float, state: str, ran: float, waited: float, ticks: int) -> str:
        """Return what it is to be killed for; empty when nothing is.

        `state` is that of proc_pid_stat(5), `ran` and `waited` how many seconds in all it had the
        processor and waited for it, `ticks` how often its loop has turned, 0 before the first time.
        """
        passed = 0.0 if self._at is None else min(now - self._at, _LOOK_LIMIT)
        own = max(0.0, passed - max(0.0, waited - self._waited))
        if state == "R":  # it may wait at this moment, and a wait counts only when it is over
            own = min(own, ran - self._ran)
        if ticks != self._ticks or not ticks:
            self._hanging = 0.0
        elif state not in "TD":  # a disk that is slow is not its fault
            self._hanging += own
        if state != "T":
            self._stopped_since = None
        elif self._stopped_since is None:
            self._stopped_since = now
        self._at, self._ran, self._waited, self._ticks = now, ran, waited, ticks
        if self._stopped_since is not None and now - self._stopped_since >= STOPPED_LIMIT:
            return "stopped"
        return "hanging" if self._hanging >= HANGING_LIMIT else ""

    @property
    def pause(self) -> float:
        """Seconds until the next look."""
        return INTERVAL if self._stopped_since is None else STOPPED_LIMIT


def watch(pid: int, member_file: Path) -> None:
    """Return when the process has ended, killed or not. `member_file` may not be there yet."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    if os.getppid() != pid:  # it had ended before, and the id may be another's
        return
    poller = select.poll()
    poller.register(process, select.POLLIN)
    status, schedule = _open(pid, "stat"), _open(pid, "schedstat")
    diagnosis = Diagnosis()
    while not poller.poll(1000 * diagnosis.pause):
        with suppress(OSError, ValueError, IndexError, struct.error):  # it has just ended
            flags, ticks = _read_ticks(member_file)
            if flags & LEFT:
                ticks = 0
            ran, waited = _processor_times(schedule)
            found = diagnosis.look(time.monotonic(), _state(status), ran, waited, ticks)
            if found:
                sys.stderr.write(f"process killed by its sentinel: {pid}: {found}\n")
                sys.stderr.flush()
                signal.pidfd_send_signal(process, signal.SIGKILL)


def _read_ticks(member_file: Path) -> tuple[int, int]:
    try:
        file = os.open(member_file, os.O_RDONLY)  # another one, when it was made anew
    except FileNotFoundError:
        return 0, 0
    try:
        flags, ticks = _TICKS.unpack(os.read(file, _TICKS.size))
    finally:
        os.close(file)
    return flags, ticks


def _open(pid: int, name: str) -> int | None:
    """A file of the process in /proc, kept open: it is read anew from its beginning."""
    try:
        return os.open(f"/proc/{pid}/{name}", os.O_RDONLY)
    except FileNotFoundError:
        return None


def _state(status: int | None) -> str:
    """Its state, of proc_pid_stat(5). Raises OSError, IndexError when it has ended."""
    content = b"" if status is None else os.pread(status, 1024, 0)
    return content.rpartition(b")")[2].split()[0].decode("ascii")


def _processor_times(schedule: int | None) -> tuple[float, float]:
    """Seconds that its main thread had the processor, and waited for it, in all.

    A kernel that does not tell counts as if it waited all the time: then nothing looks hanging.
    """
    if schedule is None:
        return 0.0, time.monotonic()
    ran, waited, _ = os.pread(schedule, 256, 0).split()
    return int(ran) / 1e9, int(waited) / 1e9


if __name__ == "__main__":
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # it ends with the process
        signal.signal(each, signal.SIG_IGN)
    watch(int(sys.argv[1]), Path(sys.argv[2]))
