"""Runs a whole copy of the product on this machine and keeps it running."""

import asyncio
import fcntl
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pydantic import SecretStr

from callcenter.errors import AskedWrongly, NotReady
from callcenter.settings import Settings
from callcenter.up.child import Child, Part, Surroundings
from callcenter.up.memory import into_memory, out_of_memory
from callcenter.up.ports import Port, check_ports
from callcenter.up.processes import describe_exit, last_words, run

# The longest path of a socket under `var`, within the kernel's limit of 107 bytes.
LONGEST_VAR = 107 - len("/run/notify-controller.sock")


@dataclass(frozen=True)
class Step:
    """Something that must be done once before the next stage: a command that ends by itself."""

    name: str
    command: Sequence[str]


@dataclass(frozen=True)
class Plan:
    """What is started, stage by stage; the members of one stage start at the same time."""

    stages: Sequence[Sequence[Part | Step]]
    ports: Sequence[Port] = ()


class Supervisor:
    """A copy of the product under `settings.var`, as one object to start and stop.

    `plan` is called once the copy is known to be ours alone, with the settings and what its
    processes share; `say` gets a line for each thing worth telling a person. One event loop,
    no threads; use it from one task.
    """

    def __init__(
        self,
        settings: Settings,
        plan: Callable[[Settings, Surroundings], Plan],
        say: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._plan = plan
        self._around = Surroundings(
            logs=settings.var / "log",
            sockets=settings.run,
            environment=environment(settings),
            say=say,
        )
        self._started: list[list[Child]] = []
        self._lock: IO[str] | None = None

    async def start(self) -> None:
        """Start everything, in order; returns when all of it serves.

        Raises AskedWrongly (another one runs here, impossible settings) or NotReady (a port in
        use, a part that does not start) in one clear line. When it raises or is cancelled,
        whatever it had started has been stopped.
        """
        try:
            self._take()
            plan = self._plan(self._settings, self._around)
            check_ports(plan.ports)
            for stage in plan.stages:
                await self._start_stage(stage)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop everything, in reverse order; returns when no process is left. Never raises."""
        while self._started:
            await asyncio.gather(*(child.stop() for child in self._started[-1]))
            self._started.pop()
        if self._lock is not None:
            with suppress(OSError):
                out_of_memory(self._settings.laid_out)
            self._lock.close()
            self._lock = None

    def child(self, name: str) -> Child:
        """The running part of that name. Raises AskedWrongly when there is none."""
        for children in self._started:
            for child in children:
                if child.part.name == name:
                    return child
        raise AskedWrongly(f"there is no part called {name}")

    async def _start_stage(self, stage: Sequence[Part | Step]) -> None:
        children: list[Child] = []
        self._started.append(children)
        try:
            async with asyncio.TaskGroup() as group:
                for member in stage:
                    if isinstance(member, Step):
                        group.create_task(self._do(member))
                    else:
                        child = Child(member, self._around)
                        children.append(child)
                        group.create_task(child.start())
        except BaseExceptionGroup as failures:
            # The first failure cancelled the others; it is the one to tell.
            raise failures.exceptions[0] from None

    async def _do(self, step: Step) -> None:
        log = self._around.log(step.name)
        status = await run(step.command, log=log, environment=self._around.environment)
        if status != 0:
            words = last_words(log) or "it said nothing"
            raise NotReady(f"{step.name} failed ({describe_exit(status)}): {words}; see {log}")
        self._around.tell(step.name, "done")

    def _take(self) -> None:
        """Make the folders and take the lock of this copy."""
        var = self._settings.var
        if len(os.fsencode(var)) > LONGEST_VAR:
            raise AskedWrongly(
                f"the path {var} is too long for UNIX sockets: "
                f"set CALLCENTER_VAR to one of {LONGEST_VAR} bytes or fewer"
            )
        try:
            for folder in (var, self._around.logs, self._around.sockets):
                folder.mkdir(mode=0o700 if folder != var else 0o755, parents=True, exist_ok=True)
            self._lock = take_lock(self._around.sockets / "up.lock")
            into_memory(self._settings.laid_out)
        except OSError as exc:
            raise NotReady(
                f"cannot write in {var} ({exc.strerror}): mend that, or set CALLCENTER_VAR"
            ) from exc


def take_lock(path: Path) -> IO[str]:
    """Lock the file for as long as it is open. Raises AskedWrongly when another process has it.

    The kernel frees the lock when its holder dies in whatever way.
    """
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip()
        file.close()
        raise AskedWrongly(
            f"callcenter is already running in {path.parent.parent} (pid {holder}): "
            "stop it, or set CALLCENTER_VAR and other ports to run a second copy"
        ) from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def environment(settings: Settings) -> Mapping[str, str]:
    """The environment of a process that is to have exactly these settings."""
    ours = {
        key: value
        for key, value in os.environ.items()
        # What started us waits for our word, not for that of a part.
        if not key.startswith("CALLCENTER_") or key.startswith("CALLCENTER_SECRET_")
    }
    ours.pop("NOTIFY_SOCKET", None)
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if value is not None:
            ours[f"CALLCENTER_{name.upper()}"] = _text(value)
    return ours


def _text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return json.dumps([str(item) for item in value])
    return str(value)
