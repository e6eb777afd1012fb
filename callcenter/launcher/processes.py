"""Spawns and kills processes, without leaving any of their children."""

import asyncio
import os
import resource
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path


async def spawn(
    command: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str],
    privileges: Sequence[str] = (),
    death_signal: str = "KILL",
    descriptors: Sequence[int] = (),
) -> Process:
    """Start `command` in a session of its own, with its output appended to `log`.

    A session of its own: Ctrl-C in the terminal reaches only the supervisor, which stops its
    processes in order. `setpriv` asks the kernel to send `death_signal` when the supervisor is
    killed; it replaces itself by the command, so the pid is the command's. `privileges` are options
    of setpriv, applied before. It has `descriptors` open, under the same numbers.
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
            pass_fds=descriptors,
        )
    finally:
        os.close(output)


def set_priority(pid: int, nice: int) -> None:
    """Set the scheduling priority of a process that was just spawned.

    Less than 0 needs root. Where sessions share a processor evenly (sched(7), autogroup) its
    session gets the same priority: its own would count for nothing else. Refusals are ignored.
    """
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, nice)
    with suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(f"{nice}\n")


def raise_open_files() -> None:
    """Raise the limit of open files, which children inherit, to the hard one.

    The soft one of Debian's shells and units is 1024, for programs that use select(2): none of ours
    does.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def open_log(log: Path) -> int:
    """A descriptor that appends to the log; only the owner may read it."""
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
    """Kill the process and all its children; returns when it is gone."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def describe_exit(status: int) -> str:
    """The end of a process in words, from its return code (negative: a signal)."""
    if status >= 0:
        return f"exit status {status}"
    return f"killed by {signal.Signals(-status).name}"


def last_line(log: Path) -> str:
    """The last line of a log that says something, or an empty string.

    Python frames the errors of a group in lines: `  | ` before each, `+---` behind the last.
    """
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    said = (line.strip().lstrip("|+- ") for line in reversed(lines))
    return next((line for line in said if line), "")
