"""Processes of the product that begin at once: forked from one that has imported it already.

To import a controller takes seconds of a processor, and tests begin hundreds. One that is forked
runs the same program with an environment and output of its own, and is killed as any other.
What is measured begins in the ordinary way: `in_tests` is set by the tests alone.
"""

import atexit
import gc
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
from asyncio import get_running_loop
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import NamedTuple

LONGEST = 1_000_000  # bytes of a request

in_tests = False


class Forked:
    """A process that was forked; what a test uses of `asyncio.subprocess.Process`."""

    def __init__(self, pid: int, word: socket.socket) -> None:
        self.pid = pid
        self._word = word  # has its exit status once it has ended
        self._returncode: int | None = None

    @property
    def returncode(self) -> int | None:
        if self._returncode is None:
            try:
                told = self._word.recv(64)
            except BlockingIOError:
                return None
            assert told, "what forks is gone"
            self._returncode = int(told)
            self._word.close()
        return self._returncode

    def send_signal(self, number: int) -> None:
        """Raises ProcessLookupError when it has ended."""
        os.kill(self.pid, number)

    async def wait(self) -> int:
        loop = get_running_loop()
        while (status := self.returncode) is None:
            with self._word.dup() as word:  # of one's own: others may wait too
                told = loop.create_future()
                loop.add_reader(word, told.set_result, None)
                try:
                    await told
                finally:
                    loop.remove_reader(word)
        return status


def can_begin(command: Sequence[str], environment: Mapping[str, str] | None) -> bool:
    """Whether it is Python with a program of one line, and nothing that a linker looks at."""
    return (
        in_tests
        and tuple(command[:2]) == (sys.executable, "-c")
        and "LD_PRELOAD" not in (environment or {})
    )


async def begin(
    command: Sequence[str], environment: Mapping[str, str] | None, output: int
) -> Forked:
    """What `asyncio.create_subprocess_exec` does; what it prints goes to `output`."""
    ours, its = socket.socketpair()
    with its:
        request = {
            "program": command[2],
            "arguments": command[3:],
            "environment": dict(os.environ if environment is None else environment),
        }
        socket.send_fds(_forker(), [json.dumps(request).encode()], [output, its.fileno()])
    ours.setblocking(False)
    return Forked(int(await get_running_loop().sock_recv(ours, 16)), ours)


@cache
def _forker() -> socket.socket:
    """Where to ask, of a process that ends with this one."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        command = (sys.executable, "-m", "tests.warm", str(its.fileno()))
        process = subprocess.Popen(command, pass_fds=[its.fileno()])

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


class _Request(NamedTuple):
    program: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    output: int


def _fork_when_asked(control: socket.socket) -> _Request | None:
    """Returns what was asked for in each process that was forked, and None at the end."""
    woken, wakes = socket.socketpair()
    wakes.setblocking(False)
    signal.set_wakeup_fd(wakes.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    words: dict[int, socket.socket] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is woken:
                    woken.recv(4096)
                    _tell_of_the_dead(words)
                    continue
                request, files, _, _ = socket.recv_fds(control, LONGEST, 2)
                if not request:
                    return None
                output, word = files[0], socket.socket(fileno=files[1])
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    for each in (control, woken, wakes, word, *words.values()):
                        each.close()
                    return _Request(**json.loads(request), output=output)
                os.close(output)
                words[pid] = word
                word.send(str(pid).encode())


def _tell_of_the_dead(words: dict[int, socket.socket]) -> None:
    while words:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with words.pop(pid) as word:
            word.send(str(os.waitstatus_to_exitcode(status)).encode())


def _begin() -> None:
    for part in ("line", "watchdog"):
        import_module(f"callcenter.commands.{part}")
    gc.freeze()
    request = _fork_when_asked(socket.socket(fileno=int(sys.argv[1])))
    if request is None:
        return
    os.dup2(request.output, 1)
    os.dup2(request.output, 2)
    os.close(request.output)
    os.environ.clear()
    os.environ.update(request.environment)
    sys.argv = ["-c", *request.arguments]
    exec(request.program, {"__name__": "__main__"})  # noqa: S102 as `python -c` does


if __name__ == "__main__":
    _begin()
