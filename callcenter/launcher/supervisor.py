"""Supervises a whole copy of the product on this machine."""

import asyncio
import fcntl
import json
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn

from pydantic import SecretStr

from callcenter.launcher.managed_process import (
    WAITS,
    LaunchContext,
    ManagedProcess,
    ProcessSpec,
)
from callcenter.launcher.port_check import Port, check_ports, hold_port
from callcenter.launcher.processes import describe_exit, last_line, raise_open_files, run
from callcenter.platform.core.errors import DependencyUnavailable, InvalidRequest
from callcenter.platform.core.log_files import keep_bounded
from callcenter.platform.core.settings import Settings

# The longest path of a socket under `var`, within the kernel's limit of 107 bytes.
MAX_VAR_BYTES = 107 - len("/run/notify-controller.sock")


@dataclass(frozen=True)
class LaunchStep:
    """A command that runs to its end, once, before the next stage."""

    name: str
    command: Sequence[str]


@dataclass(frozen=True)
class LaunchPlan:
    """The stages of the start; the members of one stage start at the same time."""

    stages: Sequence[Sequence[ProcessSpec | LaunchStep]]
    ports: Sequence[Port] = ()


class ProcessSupervisor:
    """A copy of the product under `settings.var`, as one object to start and stop.

    `plan` is called once the copy is known to be ours alone, with the settings and what its
    processes share; `say` gets a line for each thing worth telling a person. One event loop,
    no threads; use it from one task.
    """

    def __init__(
        self,
        settings: Settings,
        plan: Callable[[Settings, LaunchContext], LaunchPlan],
        say: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._plan = plan
        self._context = LaunchContext(
            logs=settings.var / "log",
            sockets=settings.run,
            environment=environment(settings),
            say=say,
        )
        self._started: list[list[ManagedProcess]] = []
        self._held: dict[str, socket.socket] = {}  # by the process whose port it is
        self._lock: IO[str] | None = None
        self._log_keeper: asyncio.Task[NoReturn] | None = None

    async def start(self) -> None:
        """Start everything, in order; returns when all of it serves.

        Raises InvalidRequest (another one runs here, impossible settings) or DependencyUnavailable
        (a port in use, a part that does not start) in one clear line. When it raises or is
        cancelled, whatever it had started has been stopped.
        """
        try:
            self._prepare()
            self._log_keeper = asyncio.create_task(keep_bounded(self._context.logs))
            plan = self._plan(self._settings, self._context)
            check_ports(plan.ports)
            self._hold_ports(plan)
            raise_open_files()
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
        if self._log_keeper is not None:
            self._log_keeper.cancel()
            await asyncio.wait({self._log_keeper})
        while self._held:
            self._held.popitem()[1].close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def child(self, name: str) -> ManagedProcess:
        """The running process of that name. Raises InvalidRequest when there is none."""
        for children in self._started:
            for child in children:
                if child.spec.name == name:
                    return child
        raise InvalidRequest(f"there is no part called {name}")

    async def _start_stage(self, stage: Sequence[ProcessSpec | LaunchStep]) -> None:
        children: list[ManagedProcess] = []
        self._started.append(children)
        try:
            async with asyncio.TaskGroup() as group:
                for member in stage:
                    if isinstance(member, LaunchStep):
                        group.create_task(self._run_step(member))
                    else:
                        child = ManagedProcess(member, self._context, self._held.get(member.name))
                        children.append(child)
                        group.create_task(child.start())
        except BaseExceptionGroup as failures:
            # The first failure cancelled the others; it is the one to tell.
            raise failures.exceptions[0] from None

    def _hold_ports(self, plan: LaunchPlan) -> None:
        for stage in plan.stages:
            for member in stage:
                if isinstance(member, ProcessSpec) and member.held_port is not None:
                    self._held[member.name] = hold_port(member.held_port[1])

    async def _run_step(self, step: LaunchStep) -> None:
        log = self._context.log(step.name)
        status = await run(step.command, log=log, environment=self._context.environment)
        if status == WAITS:  # callers do not wait for it
            self._context.report(step.name, f"left out: {last_line(log)}")
            return
        if status != 0:
            words = last_line(log) or "it said nothing"
            raise DependencyUnavailable(
                f"{step.name} failed ({describe_exit(status)}): {words}; see {log}"
            )
        self._context.report(step.name, "done")

    def _prepare(self) -> None:
        """Make the folders and take the lock of this copy."""
        var = self._settings.var
        if len(os.fsencode(var)) > MAX_VAR_BYTES:
            raise InvalidRequest(
                f"the path {var} is too long for UNIX sockets: "
                f"set CALLCENTER_VAR to one of {MAX_VAR_BYTES} bytes or fewer"
            )
        try:
            for folder in (var, self._context.logs, self._context.sockets):
                folder.mkdir(mode=0o700 if folder != var else 0o755, parents=True, exist_ok=True)
            self._lock = take_lock(self._context.sockets / "up.lock")
        except OSError as exc:
            raise DependencyUnavailable(
                f"cannot write in {var} ({exc.strerror}): mend that, or set CALLCENTER_VAR"
            ) from exc


def take_lock(path: Path) -> IO[str]:
    """Lock the file for as long as it is open.

    Raises InvalidRequest when another process has it. The kernel frees the lock when its holder
    dies in whatever way.
    """
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip()
        file.close()
        raise InvalidRequest(
            f"callcenter is already running in {path.parent.parent} (pid {holder}): "
            "stop it, or set CALLCENTER_VAR and other ports to run a second copy"
        ) from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def environment(settings: Settings) -> Mapping[str, str]:
    """The environment of a process with exactly these settings."""
    ours = {
        key: value
        for key, value in os.environ.items()
        # What started us waits for our word, not for that of a part.
        if not key.startswith("CALLCENTER_") or key.startswith("CALLCENTER_SECRET_")
    }
    ours.pop("NOTIFY_SOCKET", None)
    # Redis does not start in a language that this machine has not generated.
    ours.pop("LANGUAGE", None)
    ours["LC_ALL"] = "C.UTF-8"
    for name, value in settings.model_dump(mode="json").items():
        if value is None and Settings.model_fields[name].default is None:
            continue
        secret = getattr(settings, name)
        if isinstance(secret, SecretStr):
            value = secret.get_secret_value()
        if value is None:
            value = Settings.model_config["env_parse_none_str"]
        ours[f"CALLCENTER_{name.upper()}"] = value if isinstance(value, str) else json.dumps(value)
    return ours
