"""Starting and ending one process, so that nothing of it is left in any case."""

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

# A log longer than this is set aside as NAME.log.1 when its process is started.
LONGEST_LOG = 10_000_000


async def spawn(
    command: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str],
    privileges: Sequence[str] = (),
    death_signal: str = "KILL",
) -> Process:
    """Start `command` in a session of its own, with everything it says appended to `log`.

    A session of its own: Ctrl-C in the terminal reaches only the supervisor, which stops its
    processes in order. `setpriv` asks the kernel to send `death_signal` when the supervisor is
    killed; it replaces itself by the command, so the pid is the command's. `privileges` are
    options of setpriv, applied before.
    """
    output = open_log(log)
    try:
        return await asyncio.create_subprocess_exec(
            *("setpriv", *privileges, "--pdeathsig", death_signal, "--", *command),
            stdin=DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,
        )
    finally:
        os.close(output)


def give_turn(pid: int, nice: int) -> None:
    """Put a process that was just spawned before others of the machine (less than 0: root's alone).

    Where sessions share a processor evenly (sched(7), autogroup) its session gets the same turn:
    its own would count for nothing else. What is refused is left out.
    """
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, nice)
    with suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(f"{nice}\n")


def open_log(log: Path) -> int:
    """A descriptor that appends to the log; only the owner may read it."""
    with suppress(FileNotFoundError):
        if log.stat().st_size > LONGEST_LOG:
            log.rename(log.with_name(log.name + ".1"))
    return os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


async def run(
    command: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str],
    privileges: Sequence[str] = (),
) -> int:
    """Run `command` to its end and return its exit status; when cancelled, it is killed."""
    process = await spawn(command, log=log, environment=environment, privileges=privileges)
    try:
        return await process.wait()
    finally:
        await kill(process)


async def kill(process: Process) -> None:
    """Kill the process and all that it started, if any of it is left; return when it is gone."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def describe_exit(status: int) -> str:
    """How a process ended, in words, from its return code (negative: a signal)."""
    if status >= 0:
        return f"exit status {status}"
    return f"killed by {signal.Signals(-status).name}"


def last_words(log: Path) -> str:
    """The last line that is not empty in a log, or an empty string."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
