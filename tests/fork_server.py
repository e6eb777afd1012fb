"""Processes of the product that begin at once: forked from one that has imported it already.

To import the product takes seconds of a processor, and tests begin hundreds. One that is forked
runs the same program with an environment and output of its own, and is killed as any other.
What is measured begins in the ordinary way: `in_tests` is set by the tests alone.
"""

import atexit
import gc
import json
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from asyncio import get_running_loop
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent.parent
OURS = "from callcenter.cli import main; main()"
LONGEST = 1_000_000  # bytes of a request
_IMPORTED = re.compile(r"^(?:from|import) ((?:callcenter|tests)[\w.]*)", re.MULTILINE)

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
                reported = self._word.recv(64)
            except BlockingIOError:
                return None
            assert reported, "what forks is gone"
            self._returncode = int(reported)
            self._word.close()
        return self._returncode

    def send_signal(self, number: int) -> None:
        """Raises ProcessLookupError when it has ended."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Raises ProcessLookupError when it has ended."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Raises ProcessLookupError when it has ended."""
        self.send_signal(signal.SIGTERM)

    async def wait(self) -> int:
        loop = get_running_loop()
        while (status := self.returncode) is None:
            with self._word.dup() as word:  # of one's own: others may wait too
                reported = loop.create_future()
                loop.add_reader(word, reported.set_result, None)
                try:
                    await reported
                finally:
                    loop.remove_reader(word)
        return status


def can_begin(command: Sequence[str], environment: Mapping[str, str] | None) -> bool:
    """Whether it is Python with a program as an argument, and nothing that a linker looks at."""
    return in_tests and bool(_program(command)) and "LD_PRELOAD" not in (environment or {})


def _program(command: Sequence[str]) -> Sequence[str]:
    """The program and its arguments; nothing when it is none."""
    match list(command):
        case [sys.executable, "-c", *program] | [sys.executable, "-P", "-c", *program]:
            return program
    return ()


async def begin(
    command: Sequence[str], environment: Mapping[str, str] | None, output: int = 2
) -> Forked:
    """What `asyncio.create_subprocess_exec` does; what it prints goes to `output`."""
    ours = _ask(command, environment, output, output)
    ours.setblocking(False)
    return Forked(int(await get_running_loop().sock_recv(ours, 16)), ours)


def run(
    command: Sequence[str], environment: Mapping[str, str], timeout: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """What `subprocess.run` does with `capture_output` and `text`. Raises TimeoutError; blocks."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        with _ask(command, environment, output.fileno(), errors.fileno()) as word:
            pid = int(word.recv(16))
            word.settimeout(timeout)
            try:
                status = word.recv(64)
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise
        assert status, "what forks is gone"
        output.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(command, int(status), output.read(), errors.read())


def _ask(
    command: Sequence[str], environment: Mapping[str, str] | None, output: int, errors: int
) -> socket.socket:
    """Where the id of the new process comes, and then its exit status."""
    # Each is a message: they may come at once.
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        program, *arguments = _program(command)
        around = dict(os.environ if environment is None else environment)
        request = {"program": program, "arguments": arguments, "environment": around}
        # Another version is known by its path, and begun by a program that all its parts share.
        path = around.get("PYTHONPATH", "")
        if path == os.environ.get("PYTHONPATH"):  # as it is for everything here
            path = ""
        forker = _forker(path, program if path else OURS)
        socket.send_fds(forker, [json.dumps(request).encode()], [output, errors, its.fileno()])
    return ours


@cache
def _forker(path: str, program: str) -> socket.socket:
    """Where to ask, of a process that ends with this one.

    `program` is the `callcenter` command. `path` is where it comes from, as `PYTHONPATH` has it;
    empty: from this folder.
    """
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        command = (sys.executable, "-P", __file__, str(its.fileno()), program)
        around = os.environ | {"PYTHONPATH": path or str(HERE)}
        process = subprocess.Popen(command, pass_fds=[its.fileno()], env=around)

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
    errors: int


def _fork_on_request(control: socket.socket, command: str) -> _Request | None:
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
                requested, files, _, _ = socket.recv_fds(control, LONGEST, 3)
                if not requested:
                    return None
                output, errors, word = files[0], files[1], socket.socket(fileno=files[2])
                request = _Request(**json.loads(requested), output=output, errors=errors)
                _import_for(command, request.program, "".join(request.arguments[:1]))
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    for each in (control, woken, wakes, word, *words.values()):
                        each.close()
                    return request
                os.close(output)
                os.close(errors)
                words[pid] = word
                word.send(str(pid).encode())


def _tell_of_the_dead(words: dict[int, socket.socket]) -> None:
    while words:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with words.pop(pid) as word:
            word.send(str(os.waitstatus_to_exitcode(status)).encode())


@cache
def _import_for(command: str, program: str, part: str) -> None:
    """What a program imports, in this process, so that those that are forked later have it."""
    imported = _IMPORTED.findall(program)
    for module in imported:
        with suppress(ImportError):  # the program itself tells of it
            import_module(module)
    if program == command or "callcenter.cli" in imported:
        # Whatever modules are called: a part that tells how it is used has imported them.
        sys.argv = ["-c", part, "--help"]
        with (
            open(os.devnull, "w") as nowhere,
            redirect_stdout(nowhere),
            redirect_stderr(nowhere),
            suppress(SystemExit),
        ):
            exec(command, {"__name__": "__main__"})  # noqa: S102 as `python -c` does
    gc.freeze()


def _begin() -> None:
    control, command = socket.socket(fileno=int(sys.argv[1])), sys.argv[2]
    request = _fork_on_request(control, command)
    if request is None:
        return
    os.dup2(request.output, 1)
    os.dup2(request.errors, 2)
    os.close(request.output)
    os.close(request.errors)
    os.environ.clear()
    os.environ.update(request.environment)
    sys.argv = ["-c", *request.arguments]
    exec(request.program, {"__name__": "__main__"})  # noqa: S102 as `python -c` does


if __name__ == "__main__":
    _begin()
