"""One simulated world: a machine, a switch, servers, controllers, callers, and a seed."""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from callcenter.platform.core.errors import DependencyUnavailable, OperationFailed
from callcenter.platform.core.settings import Settings
from callcenter.telephony.asterisk.fence import Fenced
from callcenter.telephony.calls.outcomes import Outcome
from tests.seeds import SeededRandom
from tests.simulation.controller import Servers, SimulatedController, SimulatedWatchdog
from tests.simulation.faults import UNREADABLE_EVENT, FaultInjector
from tests.simulation.host import START_TIME, Host, SimulatedProcess
from tests.simulation.kernel import Kernel, KernelPath
from tests.simulation.loop import NumberedTask, VirtualLoop
from tests.simulation.network import Network, SessionFactory
from tests.simulation.outside import discard, replaced, without_collection
from tests.simulation.parties import Caller, ConsultantTelephone, UnifiedCenter
from tests.simulation.properties import INTERVAL, WATCHDOG, Monitor, Violation
from tests.simulation.scenario import Scenario
from tests.simulation.servers import (
    Consultant,
    Database,
    Distribution,
    Recordings,
    RedisServer,
)
from tests.simulation.switch import EPOCH, SimulatedSwitch, SwitchChannel

SETTLE_TIME = 150.0  # seconds after the last call in which all callers leave
WRITE_TIME = 3.0  # seconds in which controllers write what they know of the last call
#: Seconds in which journals on disk are written, and then leaks and lost calls are found: twice,
#: 15 s apart.
SWEEP_TIME = 75.0
#: The product's own limit, whatever tests with telephones have in the environment.
_ADMISSION_LIMIT = Settings.model_fields["admission_limit"].default
_SETTINGS = Settings(_env_file=None, var=Path("/nonexistent"), admission_limit=_ADMISSION_LIMIT)

Program = SimulatedController | SimulatedWatchdog


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one run."""

    scenario: Scenario
    violations: tuple[Violation, ...]
    trace: tuple[str, ...]
    calls: int
    claimed: int
    in_fallback: int
    longest_unserved: float  #: seconds
    longest_silence: float

    @property
    def digest(self) -> str:
        """A hash of the whole trace: the same seed has the same."""
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()


class _TraceHandler(logging.Handler):
    """Takes what the product logs into the trace."""

    def __init__(self, world: "World") -> None:
        super().__init__(logging.INFO)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        process = self._world.host.running
        name = process.name if process is not None else "outside"
        fault = record.exc_info[1] if record.exc_info else None
        message = record.getMessage()
        self._world.trace(f"{name} {record.levelname} {message}")
        if process is not None:
            self._world.monitor.look_at_log(process, message)
        if fault is not None and UNREADABLE_EVENT not in str(fault):
            what = f"exception of ours: {message}: {fault!r}"
            self._world.monitor.report(what, is_exception=True)


class World:
    """One run; `run` may be called once."""

    def __init__(self, scenario: Scenario) -> None:
        seed = scenario.seed
        self.scenario = scenario
        self.loop = VirtualLoop()
        self.began_at = self.loop.now
        self.kernel = Kernel(lambda: EPOCH + self.loop.now)
        self.host = Host(self.loop, self.kernel, SeededRandom(f"{seed} host"))
        self.network = Network(self.loop, SeededRandom(f"{seed} network"))
        self.switch = SimulatedSwitch(self.loop)
        self.database = Database(self.network)
        self.monitor = Monitor(self)
        self.faults = FaultInjector(self)
        self.processes: dict[str, SimulatedProcess] = {}
        self.programs: dict[SimulatedProcess, Program] = {}
        self.outcomes_by_cel: dict[str, Outcome] = {}
        self.claimed: dict[str, None] = {}
        self._trace: list[str] = []
        self._callers: list[Caller] = []
        self._random = SeededRandom(f"{seed} world")
        self._instances: dict[str, SimulatedProcess] = {}
        settings = _SETTINGS.model_copy()
        for name in ("members", "journals"):
            vars(settings)[name] = KernelPath(self.kernel, f"/{name}")
        roster = {
            f"{201 + number}": Consultant(UUID(int=number + 1), f"{201 + number}")
            for number in range(scenario.consultants)
        }
        self.redis = RedisServer()
        self.servers = Servers(
            self.network,
            self.redis,
            Distribution(lambda: EPOCH + self.loop.now, self._is_busy, roster),
            self.database,
            Recordings(self.monitor.look_at_second_recording),
            settings,
            self.outcomes_by_cel,
            self.monitor.look_at_not_restored,
        )
        for extension in roster:
            random = SeededRandom(f"{seed} consultant {extension}")
            telephone = ConsultantTelephone(self.loop, self.switch, random)
            self.switch.telephones[extension] = telephone
        center = UnifiedCenter(self.loop, self.switch, SeededRandom(f"{seed} 1414"))
        self.switch.telephones["unified-center"] = center
        self.switch.on_request = self.monitor.look_at_request
        self.switch.on_claim = self.faults.take_claim
        self.switch.on_connect = self.faults.take_connection
        self.switch.on_move = self.faults.take_move
        self.host.on_end(self._take_end)
        self.loop.set_exception_handler(self._take_fault)

    @property
    def elapsed(self) -> float:
        """Seconds from the beginning."""
        return self.loop.now - self.began_at

    def trace(self, what: str) -> None:
        self._trace.append(f"{self.elapsed:9.4f} {what}")

    def callers_in_switch(self) -> Iterator[SwitchChannel]:
        for each in self._callers:
            if each.channel is not None and not each.is_over:
                yield each.channel

    def process_of(self, instance: str) -> SimulatedProcess | None:
        """The process that is, or was, this instance."""
        return self._instances.get(instance)

    def taker_from(self, instance: str) -> SimulatedProcess | None:
        """The process that takes over from this instance now."""
        holder = self.kernel.holder_of(f"{self.servers.settings.members}/{instance}.claim")
        return holder if isinstance(holder, SimulatedProcess) else None

    def _is_busy(self, extension: str) -> bool:
        return self.switch.telephones[extension].is_busy

    # Running

    def run(self) -> Result:
        """Run to the end; nothing of it is left behind."""
        with (
            without_collection(),
            replaced(
                self.loop,
                self.kernel,
                self.host,
                SessionFactory(self.network, self.switch),
                self.database,
                SeededRandom(f"{self.scenario.seed} product"),
            ),
        ):
            try:
                with self._logging():
                    self._begin()
                    self._run_until_over()
                    self.monitor.look_at_end()
                return self._result()
            finally:
                discard(self.loop)

    def _result(self) -> Result:
        return Result(
            self.scenario,
            tuple(self.monitor.violations),
            tuple(self._trace),
            len(self._callers),
            len(self.claimed),
            sum(each.is_in_fallback for each in self._callers),
            self.monitor.longest_unserved,
            self.monitor.longest_silence,
        )

    @contextmanager
    def _logging(self) -> Iterator[None]:
        log = logging.getLogger("callcenter")
        handler, before = _TraceHandler(self), (log.level, log.propagate)
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        log.propagate = False
        try:
            yield
        finally:
            log.removeHandler(handler)
            log.setLevel(before[0])
            log.propagate = before[1]

    def _begin(self) -> None:
        for number in range(1, self.scenario.controllers + 1):
            self._start(f"line-{number}")
        self._start(WATCHDOG)
        for fault in self.scenario.faults:
            self.loop.outside_after(fault.at, self.faults.inject, fault)
        at = START_TIME + 2.0
        while at < self.scenario.length:
            self.loop.outside_after(at, self.call)
            at += self._random.expovariate(1 / self.scenario.call_interval)
        self.loop.outside_after(INTERVAL, self._look)

    def _run_until_over(self) -> None:
        self.loop.run_until(self.began_at + self.scenario.length)
        self._run_while(lambda: any(not each.is_over for each in self._callers), SETTLE_TIME)
        self.loop.run_until(self.loop.now + WRITE_TIME)
        self._run_while(lambda: self._is_anything_left, SWEEP_TIME)

    def _run_while(self, is_so: Callable[[], bool], limit: float) -> None:
        ends = self.loop.now + limit
        while self.loop.now < ends and is_so():
            self.loop.run_until(self.loop.now + 1.0)

    @property
    def _is_anything_left(self) -> bool:
        switch = self.switch
        spools = self.servers.settings.journals.glob("*")
        return bool(self.database.has_open or switch.channels or switch.bridges or [*spools])

    def _look(self) -> None:
        self.monitor.look()
        for channel in self.callers_in_switch():
            owner = self.process_of(channel.application)
            # Of whom a frozen one alone could tell, reconciliation tells, which is not here.
            if channel.claimed_by and not (owner is not None and owner.is_frozen):
                self.claimed[channel.id] = None
        self.loop.outside_after(INTERVAL, self._look)

    def call(self) -> None:
        random = SeededRandom(f"{self.scenario.seed} caller {len(self._callers)}")
        caller = Caller(self.loop, self.switch, random)
        self._callers.append(caller)
        caller.on_fallback = self._note_fallback
        caller.on_first_sound = self.monitor.look_at_first_sound
        caller.call()

    def _note_fallback(self, channel: SwitchChannel, why: str) -> None:
        self.trace(f"call {channel.id} in the fallback: {why}")
        self.outcomes_by_cel[channel.id] = Outcome.FALLBACK

    # Processes

    def _start(self, name: str) -> None:
        process = SimulatedProcess(self.host, name, self._random.random())
        self.processes[name] = process
        process.start(self._main(process))

    async def _main(self, process: SimulatedProcess) -> None:
        await asyncio.sleep(START_TIME)
        program: Program
        if process.name == WATCHDOG:
            program = SimulatedWatchdog(self.servers)
        else:
            program = SimulatedController(self.servers, process.name)
        self.programs[process] = program
        self._instances[program.instance] = process
        process.member_file = str(program.node.membership.path)
        self.loop.start(self.host.watch(process))
        self.trace(f"{process.name} started as {program.instance}")
        why = await self._run_program(program.main())
        tasks = [
            each
            for each in asyncio.all_tasks()
            if isinstance(each, NumberedTask)
            and each.owner is process
            and each is not asyncio.current_task()
        ]
        for each in sorted(tasks, key=lambda task: task.number):
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        process.end(why)

    async def _run_program(self, main: Coroutine[Any, Any, None]) -> str:
        """Run it to its end; return why it ended."""
        try:
            await main
        except Fenced:
            return "fenced"
        except OperationFailed as exc:
            return repr(exc)
        except ExceptionGroup as exc:
            _, others = exc.split(DependencyUnavailable)
            if others is not None:
                self.monitor.report(f"process ended by {others!r}", is_exception=True)
            return "not ready"
        except Exception as exc:
            self.monitor.report(f"process ended by {exc!r}", is_exception=True)
            return repr(exc)
        return "left"

    def _take_end(self, process: SimulatedProcess) -> None:
        self.trace(f"{process.name} ended: {process.killed_for}")
        self.monitor.look_at_reason(process, process.killed_for)
        self.monitor.note_end(process)
        self.network.end_process(process)
        if self.processes.get(process.name) is process:
            del self.processes[process.name]
            again_at = max(
                self.loop.now + self.scenario.restart_delay, self.faults.held.get(process.name, 0.0)
            )
            self.loop.outside_at(again_at, self._start, process.name)

    def _take_fault(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        what = f"{context['message']}: {context.get('exception')!r}"
        self.monitor.report(what, is_exception=True)


def run(scenario: Scenario) -> Result:
    """Run one scenario."""
    return World(scenario).run()
