"""Faults: what befalls a simulated world, as its scenario says."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from tests.simulation.host import Pressure
from tests.simulation.network import Trouble
from tests.simulation.properties import WATCHDOG
from tests.simulation.scenario import Fault, FaultKind

if TYPE_CHECKING:
    from tests.simulation.world import World


class FaultInjector:
    """Brings faults upon one world."""

    def __init__(self, world: "World") -> None:
        self.held: dict[str, float] = {}  #: until when a process is not started again, by its name
        self._world = world
        self._loop = world.loop
        self._injectors: Mapping[FaultKind, Callable[[Fault, float], None]] = {
            FaultKind.KILL: self._kill_one,
            FaultKind.TWO_DEATHS: self._kill_two,
            FaultKind.ALL_DEAD: self._kill_all,
            FaultKind.STOP: self._stop,
            FaultKind.HANG: self._hang,
            FaultKind.FREEZE: self._stop,
            FaultKind.PRESSURE: self._press,
            FaultKind.STARVE: self._press,
            FaultKind.LATE: self._trouble,
            FaultKind.CUT: self._trouble,
            FaultKind.SHORT_CUT: self._trouble,
            FaultKind.DEATH_IN_DEAFNESS: self._kill_in_deafness,
            FaultKind.DEATH_IN_CUT: self._kill_in_cut,
            FaultKind.LATE_RESTART: self._delay_and_terminate,
            FaultKind.RESTART: self._terminate,
            FaultKind.EMPTY_REDIS: self._restart_redis,
            FaultKind.OLD_REDIS: self._restart_redis,
            FaultKind.LATE_REDIS: self._trouble_redis,
            FaultKind.DEAF: self._deafen_one,
            FaultKind.SWITCH_RESTART: self._restart_switch,
            FaultKind.WATCHDOG_DEATH: self._kill_watchdog,
        }

    def inject(self, fault: Fault) -> None:
        """Have it happen now."""
        self._world.trace(f"FAULT {fault}")
        self._injectors[fault.kind](fault, self._loop.now + fault.length)

    def _kill(self, name: str) -> None:
        if name in self._world.processes:
            self._world.processes[name].end("killed")

    def _kill_one(self, fault: Fault, _ends: float) -> None:
        self._kill(fault.victims[0])

    def _kill_two(self, fault: Fault, ends: float) -> None:
        self._kill(fault.victims[0])
        self._loop.outside_at(ends, self._kill, fault.victims[1])

    def _kill_all(self, fault: Fault, ends: float) -> None:
        for each in fault.victims:
            self.held[each] = ends
            self._kill(each)

    def _kill_watchdog(self, _fault: Fault, _ends: float) -> None:
        self._kill(WATCHDOG)

    def _stop(self, fault: Fault, ends: float) -> None:
        process = self._world.processes.get(fault.victims[0])
        if process is not None:
            process.stop(frozen=fault.kind is FaultKind.FREEZE)
            self._loop.outside_at(ends, process.go_on)

    def _hang(self, fault: Fault, _ends: float) -> None:
        process = self._world.processes.get(fault.victims[0])
        if process is not None:
            process.hang()

    def _press(self, fault: Fault, ends: float) -> None:
        only = fault.victims[0] if fault.kind is FaultKind.STARVE else ""
        self._world.host.pressures.append(Pressure(self._loop.now, ends, fault.strength, only))

    def _trouble(self, fault: Fault, ends: float) -> None:
        trouble = Trouble(self._loop.now, ends, fault.victims[0], fault.strength)
        self._world.network.troubles.append(trouble)

    def _trouble_redis(self, fault: Fault, ends: float) -> None:
        for name in self._world.processes:
            trouble = Trouble(self._loop.now, ends, name, fault.strength, "redis")
            self._world.network.troubles.append(trouble)

    def _delay_and_terminate(self, fault: Fault, ends: float) -> None:
        """Have somebody call while all are late, and one of them be told to end."""
        for name in self._world.processes:
            trouble = Trouble(self._loop.now, ends, name, fault.strength)
            self._world.network.troubles.append(trouble)
        self._world.call()
        self._loop.outside_after(2 * fault.strength, self._terminate, fault, ends)

    def _kill_in_cut(self, fault: Fault, ends: float) -> None:
        self._kill(fault.victims[0])
        trouble = Trouble(self._loop.now, ends, fault.victims[1], 0.0)
        self._world.network.troubles.append(trouble)

    def _restart_redis(self, fault: Fault, ends: float) -> None:
        """Have it come back as it is now, or empty."""
        redis = self._world.redis
        snapshot = dict(redis.values) if fault.kind is FaultKind.OLD_REDIS else {}
        self._loop.outside_at(ends, redis.restart, snapshot)

    def _terminate(self, fault: Fault, _ends: float) -> None:
        process = self._world.processes.get(fault.victims[0])
        program = None if process is None else self._world.programs.get(process)
        if process is not None and program is not None:
            process.context.run(self._loop.call_soon, program.stop.set)

    def _deafen_one(self, fault: Fault, _ends: float) -> None:
        self._deafen(fault.victims[0])

    def _kill_in_deafness(self, fault: Fault, _ends: float) -> None:
        self._deafen(fault.victims[1])
        self._kill(fault.victims[0])

    def _deafen(self, name: str) -> None:
        """Have the switch send no more events by the connections that one has now."""
        process = self._world.processes.get(name)
        program = None if process is None else self._world.programs.get(process)
        if process is not None and program is not None:
            process.was_deaf = True
            self._world.switch.deafen(program.instance)

    def _restart_switch(self, fault: Fault, ends: float) -> None:
        self._world.switch.end()
        self._loop.outside_at(ends, self._world.switch.boot)
