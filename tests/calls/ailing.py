"""What makes a process ill without stopping it: no memory, an event loop that stands still."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.calls.parts import Process

BLOCKED = 5.0  # seconds
#: `callcenter`, whose event loop stands still for a while at this signal.
BLOCKABLE = (
    sys.executable,
    "-c",
    f"import signal, time; signal.signal(signal.SIGUSR1, lambda *_: time.sleep({BLOCKED})); "
    "from callcenter.cli import main; main()",
)
#: `callcenter`, killed as soon as it has so many channels of one that died: `(*DYING, "2")`.
DYING = (
    sys.executable,
    "-c",
    """
import os, signal, sys
from callcenter.asterisk.channels import Channels
from callcenter.cli import main

left, adopt = [None] * int(sys.argv.pop(1)), Channels.adopt

async def adopt_and_die(self, told, **how):
    channel = await adopt(self, told, **how)
    left.pop()
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    return channel

Channels.adopt = adopt_and_die
main()
""",
)
#: `callcenter`, killed as soon as a call is its own, before it knows anything of it.
DYING_AT_A_CALL = (
    sys.executable,
    "-c",
    """
import os, signal
from callcenter.asterisk.channels import Channels
from callcenter.cli import main

Channels._on_event_of_channel = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
main()
""",
)
_CGROUPS = Path("/sys/fs/cgroup")


def block(process: Process) -> None:
    """Have the event loop of a process that was begun by `BLOCKABLE` stand still."""
    process.send(signal.SIGUSR1)


@contextmanager
def no_memory_for(process: Process) -> Iterator[None]:
    """Whatever the process asks for from now on, the kernel kills it for.

    Raises OSError where the kernel lets nobody do that.
    """
    is_old = (_CGROUPS / "memory").is_dir()
    group = (_CGROUPS / "memory" if is_old else _CGROUPS) / f"callcenter-test-{process.pid}"
    group.mkdir()
    try:
        limit = group / ("memory.limit_in_bytes" if is_old else "memory.max")
        limit.write_text(str(64 * 1024))
        (group / "cgroup.procs").write_text(str(process.pid))
        yield
    finally:
        with suppress(OSError):
            group.rmdir()
