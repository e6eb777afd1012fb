"""Faults: what befalls a simulated world, as its scenario says."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from callcenter.appeals.calls.store import EventRow
from tests.simulation.host import Pressure, SimulatedProcess
from tests.simulation.network import LATENCY, Trouble
from tests.simulation.properties import OVERLOAD, OVERLOAD_SEEN, WATCHDOG, is_conversation
from tests.simulation.scenario import Fault, FaultKind
from tests.simulation.switch import SwitchChannel

if TYPE_CHECKING:
    from tests.simulation.world import Program, World


LOOK_INTERVAL = 0.002  # seconds between two looks for the moment at which something is to happen
LOOK_LIMIT = 1.5  # seconds until that moment at most
WAYS_BEFORE_MOVE = 22  # to the switch and back in a takeover: three lists, eight playbacks
OVERLOAD_CALL_INTERVAL = 1.0  # seconds between two calls in an overload
#: An event of a version to come: a call that has it can be restored by nobody.
UNREADABLE_EVENT = "event_of_a_later_version"


class FaultInjector:
    """Brings faults upon one world."""

    def __init__(self, world: "World") -> None:
        self.held: dict[str, float] = {}  #: until when a process is not started again, by its name
        self.unreadable: set[str] = set()  #: calls that nobody can restore
        self._at_next_claim: list[Fault] = []
        self._at_next_connection: list[Fault] = []
        self._is_move_deadly = False  # the next by which a conversation has legs of two
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
            FaultKind.DEATH_AT_CLAIM: self._await_claim,
            FaultKind.CUT_AT_CLAIM: self._await_claim,
            FaultKind.DEATH_AT_CONNECT: self._await_connection,
            FaultKind.DEATH_IN_MOVE: self._kill_and_await_move,
            FaultKind.LEFT_IN_HANDOVER: self._terminate_and_hang_up,
            FaultKind.STOPPED_TAKER: self._stop_taker,
            FaultKind.FROZEN_TAKER: self._stop_taker,
            FaultKind.UNREADABLE: self._kill_unreadable,
            FaultKind.LATE_RESTART: self._delay_and_terminate,
            FaultKind.RESTART: self._terminate,
            FaultKind.EMPTY_REDIS: self._restart_redis,
            FaultKind.OLD_REDIS: self._restart_redis,
            FaultKind.LATE_REDIS: self._trouble_redis,
            FaultKind.NO_DATABASE: self._cut_database,
            FaultKind.DEAF: self._deafen_one,
            FaultKind.SWITCH_RESTART: self._restart_switch,
            FaultKind.WATCHDOG_DEATH: self._kill_watchdog,
        }

    def inject(self, fault: Fault) -> None:
        """Have it happen now."""
        self._world.trace(f"FAULT {fault}")
        self._injectors[fault.kind](fault, self._loop.now + fault.length)

    @property
    def _controllers(self) -> list[str]:
        return [f"line-{number + 1}" for number in range(self._world.scenario.controllers)]

    def _program_of(self, name: str) -> "Program | None":
        """The program of a process that is there, and has started."""
        process = self._world.processes.get(name)
        return None if process is None else self._world.programs.get(process)

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
        at = self._loop.now + OVERLOAD_SEEN
        while not only and fault.strength >= OVERLOAD and at < ends:
            self._loop.outside_at(at, self._world.call)
            at += OVERLOAD_CALL_INTERVAL

    def _trouble(self, fault: Fault, ends: float) -> None:
        trouble = Trouble(self._loop.now, ends, fault.victims[0], fault.strength)
        self._world.network.troubles.append(trouble)

    def _trouble_redis(self, fault: Fault, ends: float) -> None:
        for name in self._world.processes:
            trouble = Trouble(self._loop.now, ends, name, fault.strength, "redis")
            self._world.network.troubles.append(trouble)

    def _cut_database(self, fault: Fault, ends: float) -> None:
        for each in self._controllers:
            trouble = Trouble(self._loop.now, ends, each, 0.0, "database")
            self._world.network.troubles.append(trouble)
        self._loop.outside_after(fault.length / 2, self._kill, fault.victims[0])

    def _delay_and_terminate(self, fault: Fault, ends: float) -> None:
        """Have somebody call whom one alone hears, late, and tell it to end while it claims."""
        (name,) = fault.victims
        program = self._program_of(name)
        if program is None:
            return
        trouble = Trouble(self._loop.now, ends, name, fault.strength, is_at_server=True)
        self._world.network.troubles.append(trouble)
        self._world.switch.offers_to = program.instance
        self._world.call()
        self._world.switch.offers_to = ""
        self._when(lambda: self._is_claiming(name), self._terminate, fault, ends)

    def _is_claiming(self, name: str) -> bool:
        program = self._program_of(name)
        return program is not None and bool(vars(program.node).get("_claims"))

    def _when(
        self, is_so: Callable[[], bool], then: Callable[..., None], *args: object, limit: float = 0
    ) -> None:
        """Have something happen as soon as this is so, or never if that takes too long."""
        limit = limit or self._loop.now + LOOK_LIMIT
        if is_so():
            then(*args)
        elif self._loop.now < limit:
            look = partial(self._when, is_so, then, *args, limit=limit)
            self._loop.outside_after(LOOK_INTERVAL, look)

    def take_claim(self, claimant: SimulatedProcess) -> None:
        """Take in that somebody has claimed a call, which is on its way to that process."""
        faults, self._at_next_claim = self._at_next_claim, []
        for each in faults:
            if each.kind is FaultKind.DEATH_AT_CLAIM:
                self._loop.outside_after(each.strength, claimant.end, "killed")
            else:
                now = self._loop.now
                trouble = Trouble(now, now + each.length, claimant.name, 0.0)
                self._world.network.troubles.append(trouble)

    def _await_claim(self, fault: Fault, _ends: float) -> None:
        self._at_next_claim.append(fault)
        self._world.call()

    def take_connection(self, connector: SimulatedProcess) -> None:
        """Take in that this process has connected two parties."""
        faults, self._at_next_connection = self._at_next_connection, []
        for each in faults:
            self._loop.outside_after(each.strength, connector.end, "killed")

    def _await_connection(self, fault: Fault, _ends: float) -> None:
        self._at_next_connection.append(fault)

    def take_move(self, channel: SwitchChannel) -> None:
        """Take in that this channel was moved to another application."""
        legs = channel.bridge.channels if channel.bridge is not None else [channel]
        taker = self._world.process_of(channel.application)
        if self._is_move_deadly and len({each.application for each in legs}) > 1 and taker:
            self._is_move_deadly = False
            taker.end("killed")

    def _kill_and_await_move(self, fault: Fault, _ends: float) -> None:
        self._is_move_deadly = True
        self._kill(fault.victims[0])

    def _stop_taker(self, fault: Fault, ends: float) -> None:
        program = self._program_of(fault.victims[0])
        if program is None:
            return
        self._kill(fault.victims[0])
        for each in self._controllers if fault.strength else ():
            trouble = Trouble(self._loop.now, self._loop.now + LOOK_LIMIT, each, fault.strength)
            self._world.network.troubles.append(trouble)
        self._when(
            lambda: self._world.taker_from(program.instance) is not None,
            self._loop.outside_after,
            WAYS_BEFORE_MOVE * max(fault.strength, LATENCY),
            self._stop_taker_from,
            program.instance,
            fault.kind is FaultKind.FROZEN_TAKER,
            ends,
        )

    def _stop_taker_from(self, instance: str, is_frozen: bool, ends: float) -> None:
        taker = self._world.taker_from(instance)
        if taker is not None:
            self._world.trace(f"{taker.name} is stopped")
            taker.stop(frozen=is_frozen)
            self._loop.outside_at(ends, taker.go_on)

    def _kill_unreadable(self, fault: Fault, _ends: float) -> None:
        program = self._program_of(fault.victims[0])
        if program is None:
            return
        calls = program.call_ids
        self.unreadable |= calls
        self._kill(fault.victims[0])
        for each in calls:
            self._world.redis.values.pop(f"call:where:{each}", None)
        for appeal in self._world.database.appeals.values():
            if appeal.call_id in calls:
                at = appeal.received_at
                row = EventRow(appeal.id, 400, at, UNREADABLE_EVENT, {})
                appeal.events.setdefault(row.seq, row)

    def _kill_in_cut(self, fault: Fault, ends: float) -> None:
        self._kill(fault.victims[0])
        trouble = Trouble(self._loop.now, ends, fault.victims[1], 0.0)
        self._world.network.troubles.append(trouble)

    def _restart_redis(self, fault: Fault, ends: float) -> None:
        """Have it come back empty, or as it is now, and one die at that moment."""
        redis = self._world.redis
        is_old = fault.kind is FaultKind.OLD_REDIS
        self._loop.outside_at(ends, redis.restart, dict(redis.values) if is_old else {})
        if is_old:
            self._loop.outside_at(ends, self._kill, fault.victims[0])

    def _terminate(self, fault: Fault, _ends: float) -> None:
        program = self._program_of(fault.victims[0])
        if program is not None:
            process = self._world.processes[fault.victims[0]]
            process.context.run(self._loop.call_soon, program.stop.set)

    def _terminate_and_hang_up(self, fault: Fault, ends: float) -> None:
        """Have who talks hang up when nobody has the conversation, and another is to get it."""
        program = self._program_of(fault.victims[0])
        if program is not None:
            self._terminate(fault, ends)
            self._when(lambda: program.is_fenced, self._hang_up_all, program.instance)

    def _hang_up_all(self, instance: str) -> None:
        mine = [e for e in self._world.switch.channels.values() if e.application == instance]
        for each in [e for e in mine if is_conversation(e)]:
            self._world.switch.hang_up(each)

    def _deafen_one(self, fault: Fault, _ends: float) -> None:
        self._deafen(fault.victims[0])

    def _kill_in_deafness(self, fault: Fault, _ends: float) -> None:
        self._deafen(fault.victims[1])
        self._kill(fault.victims[0])

    def _deafen(self, name: str) -> None:
        """Have the switch send no more events by the connections that one has now."""
        program = self._program_of(name)
        if program is not None:
            self._world.processes[name].was_deaf = True
            self._world.switch.deafen(program.instance)

    def _restart_switch(self, fault: Fault, ends: float) -> None:
        self._world.switch.end()
        self._loop.outside_at(ends, self._world.switch.boot)
