"""What makes a process ill without stopping it: no memory, an event loop that stands still."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.calls.processes import Process

BLOCKED, HANGING = 3.0, 60.0  # seconds: less and more than a sentinel allows
#: `callcenter`, whose event loop stands still at these signals, for a while or for ever, and which
#: asks for 32 MB at the third.
BLOCKABLE = (
    sys.executable,
    "-c",
    f"import signal, time; signal.signal(signal.SIGUSR1, lambda *_: time.sleep({BLOCKED})); "
    f"signal.signal(signal.SIGUSR2, lambda *_: time.sleep({HANGING})); "
    "signal.signal(signal.SIGRTMIN, lambda *_: b'x' * 2**25); "
    "from callcenter.cli import main; main()",
)
#: `callcenter`, killed as soon as it has so many channels of one that died: `(*DYING, "2")`.
DYING = (
    sys.executable,
    "-c",
    """
import os, signal, sys
from callcenter.telephony.asterisk.channel_registry import ChannelRegistry
from callcenter.cli import main

left, adopt = [None] * int(sys.argv.pop(1)), ChannelRegistry.move_here

async def adopt_and_die(self, told, **how):
    channel = await adopt(self, told, **how)
    left.pop()
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    return channel

ChannelRegistry.move_here = adopt_and_die
main()
""",
)
#: `callcenter`, killed as soon as a call is its own, before it knows anything of it.
DYING_AT_A_CALL = (
    sys.executable,
    "-c",
    """
import os, signal
from callcenter.telephony.asterisk.channel_registry import ChannelRegistry
from callcenter.cli import main

ChannelRegistry.handle = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
main()
""",
)
_CGROUPS = Path("/sys/fs/cgroup")


def block(process: Process) -> None:
    """Have the event loop of a process that was begun by `BLOCKABLE` stand still for a while."""
    process.send(signal.SIGUSR1)


def hang(process: Process) -> None:
    """Have the event loop of a process that was begun by `BLOCKABLE` turn no more."""
    process.send(signal.SIGUSR2)


@contextmanager
def no_memory_for(process: Process) -> Iterator[None]:
    """Have the kernel kill a process that was begun by `BLOCKABLE` for the memory it asks for.

    It has to ask: what it freed before serves it for long. Raises OSError where the kernel lets
    nobody do that.
    """
    is_old = (_CGROUPS / "memory").is_dir()
    group = (_CGROUPS / "memory" if is_old else _CGROUPS) / f"callcenter-test-{process.pid}"
    group.mkdir()
    try:
        limit = group / ("memory.limit_in_bytes" if is_old else "memory.max")
        limit.write_text(str(64 * 1024))
        (group / "cgroup.procs").write_text(str(process.pid))
        process.send(signal.SIGRTMIN)
        yield
    finally:
        with suppress(OSError):
            group.rmdir()
