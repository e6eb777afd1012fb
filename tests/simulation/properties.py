"""What must hold in every run, looked at from outside: at the switch, the host and the database.

1. No call is served by two controllers, and nobody acts on a call that another has.
2. No caller is served by nobody, nor hears nothing, for longer than the limit.
3. Nobody is fenced, killed or ended that is alive and merely late.
4. What was claimed ends in exactly one outcome.
5. A conversation goes on as long as both parties want it to.
6. Nothing is left in the switch when all callers have gone.
7. No controller serves a call that is gone.
8. Who calls while all are late hears the fallback, and is not made to wait.
9. No answer that has come is given up because who asked is late.
10. No entry of the journal is refused by the database.
11. No exception of ours is logged.
12. A conversation is recorded once.
13. What was written to disk for the database is there in the end.
14. Only a call that nobody can restore is left to the fallback by who takes it over.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.simulation.host import START_TIME, SimulatedProcess
from tests.simulation.servers import RunningRecording
from tests.simulation.switch import Request, SwitchChannel

if TYPE_CHECKING:
    from tests.simulation.world import World

INTERVAL = 0.5  # seconds between two looks
UNSERVED_LIMIT = 6.0  # seconds, while somebody is there who could serve
CUT_OFF_LIMIT = 10.0  # seconds, if it could not reach the switch
UNCLAIMED_LIMIT = 15.0  # seconds, if only the watchdog is left and another looks alive
FROZEN_LIMIT = 16.0  # seconds, if the controller was frozen with its sentinel
FOUND_FROZEN = 10.0  # seconds of them until the others find it so
UNRESTORED_LIMIT = 11.0  # seconds, if nobody can restore the call: the fallback serves the caller
SILENCE_LIMIT = 12.0  # seconds: a question waits for a key for five
GHOST_LIMIT = 15.0  # seconds for which a call outlives its channel
TROUBLE_MEMORY = 10.0  # seconds after which a trouble of the network explains nothing any more
#: Seconds from the beginning of a recording until Redis or the database has heard of it.
NEWS_LIMIT, LATE_NEWS_LIMIT = 0.5, 6.0
FIRST_SOUND_LIMIT = 3.0  # seconds from a call until something is heard, in an overload
OVERLOAD = 0.2  # seconds that processes wait for each turn in the mean: controllers close admission
OVERLOAD_SEEN = 4.0  # seconds in which they do
NO_ANSWER = ("no answer from Asterisk", "ARI events missing")  # in the log

WATCHDOG = "watchdog"  #: the name of its process: it looks after those who do not talk


def is_conversation(channel: SwitchChannel) -> bool:
    """Whether the channel is in a bridge with another."""
    return channel.bridge is not None and len(channel.bridge.channels) > 1


@dataclass(frozen=True, slots=True)
class Violation:
    """A property that did not hold."""

    at: float  #: seconds from the beginning
    what: str
    is_exception: bool = False  #: of ours, and no more than that

    def __str__(self) -> str:
        return f"{self.at:.3f} {self.what}"


class Monitor:
    """Looks at one world, again and again."""

    def __init__(self, world: "World") -> None:
        self.violations: list[Violation] = []
        self.longest_unserved = 0.0  #: seconds
        self.longest_silence = 0.0
        self._world = world
        self._unserved: dict[str, float] = {}
        self._silent: dict[str, float] = {}
        self._gone: dict[str, float] = {}
        self._seen: set[str] = set()
        self._frozen_takers: set[str] = set()  # instances that a frozen one took over from

    def report(self, what: str, *, is_exception: bool = False) -> None:
        """Note that a property did not hold, once for each text."""
        if what not in self._seen:
            self._seen.add(what)
            self._world.trace(f"VIOLATION {what}")
            self.violations.append(Violation(self._world.elapsed, what, is_exception))

    def look(self) -> None:
        """Look at all that is to be seen now."""
        world = self._world
        able = [each for each in world.processes.values() if self._is_able(each)]
        controllers = [each for each in able if each.name != WATCHDOG]
        calls = self._look_for_two_servers()
        for channel in world.callers_in_switch():
            if channel.place != "stasis":
                self._unserved.pop(channel.id, None)
                self._silent.pop(channel.id, None)
            elif could := able if self._may_fall_back(channel) else controllers:
                self._look_at_service(channel, calls.get(channel.id), could)
                self._look_at_silence(channel)
        for process in world.processes.values():
            self._look_at_fence(process)
        self._look_for_ghosts()

    def _is_able(self, process: SimulatedProcess) -> bool:
        """Whether it could take over now."""
        world = self._world
        program = world.programs.get(process)
        return (
            program is not None
            and process.is_able
            and not program.is_fenced
            and program.node.ari.connected.is_set()
            and not world.host.is_pressed(process)
            and not world.network.is_troubled(process, since=world.loop.now - 5.0)
        )

    def _may_fall_back(self, channel: SwitchChannel) -> bool:
        """Whether the watchdog may give this caller to the fallback, should no controller be there.

        Not while all controllers are cut off: this one's keeps it until another takes it.
        """
        world = self._world
        controllers = [e for e in world.processes.values() if e.name != WATCHDOG and e.is_able]
        are_cut_off = all(map(world.network.is_cut, controllers))
        is_cut_off = are_cut_off and world.process_of(channel.application) in controllers
        return not (is_cut_off or is_conversation(channel))

    def _is_being_taken_late(self, instance: str) -> bool:
        """Whether one that is late itself, or cut off, takes over from this instance.

        Nobody else can: its claim ends with its process alone.
        """
        taker = self._world.taker_from(instance)
        if taker is not None and taker.is_frozen:
            self._frozen_takers.add(instance)
        return taker is not None and (taker.is_pressed or self._world.network.is_cut(taker))

    def _look_for_two_servers(self) -> dict[str, SimulatedProcess]:
        servers: dict[str, SimulatedProcess] = {}
        for process, program in self._world.programs.items():
            if not process.is_able or program.is_fenced:
                continue
            for call_id in program.call_ids:
                other = servers.setdefault(call_id, process)
                if other is not process:
                    self.report(f"call {call_id} served by {other.name} and {process.name}")
        return servers

    def _look_at_service(
        self,
        channel: SwitchChannel,
        server: SimulatedProcess | None,
        able: Sequence[SimulatedProcess],
    ) -> None:
        owner = self._world.process_of(channel.application)
        is_served = (
            owner is not None
            and server is owner
            and (owner.is_able or owner.is_pressed)
            and not self._world.network.is_cut(owner)
        )
        if not is_served and self._is_being_taken_late(channel.application):
            return
        is_unreadable = channel.id in self._world.faults.unreadable
        is_late = owner is not None and owner.is_pressed
        is_left_alone = is_unreadable and (is_late or is_conversation(channel))
        is_well = is_served or is_left_alone
        unserved = 0.0 if is_well else self._unserved.get(channel.id, 0.0) + INTERVAL
        self._unserved[channel.id] = unserved
        self.longest_unserved = max(self.longest_unserved, unserved)
        excess = self._excess(unserved, channel.application, able)
        if is_unreadable:  # who takes over has tried for a while, and may have died itself
            excess = min(excess, self._world.loop.now - channel.changed_hands_at - UNRESTORED_LIMIT)
        if excess > 0:
            self.report(f"call {channel.id} served by nobody, was {channel.application}'s")

    def note_end(self, process: SimulatedProcess) -> None:
        """Note whom a process that has ended served until now, or was to while it was frozen."""
        program = self._world.programs.get(process)
        was_cut = self._world.network.is_cut(process) and not process.is_frozen
        if program is not None and not was_cut:
            self._unserved |= dict.fromkeys(program.call_ids, 0.0)

    def _excess(self, unserved: float, instance: str, able: Sequence[SimulatedProcess]) -> float:
        """Seconds by which a caller was served by nobody for too long; `able` could have done so.

        That one is frozen shows only to who looked at it for ten seconds, while nobody waited for
        the processor. While one is frozen and not found so, the watchdog waits longer. One that is
        frozen while it takes over is found so first, and has taken over for a while before.
        """
        world, now = self._world, self._world.loop.now
        owner = world.process_of(instance)
        if instance in self._frozen_takers:
            unserved -= UNSERVED_LIMIT
        controllers = [each for each in able if each.name != WATCHDOG]
        others = [each for each in world.processes.values() if each not in able]
        is_watchdog_waiting = not controllers and any(each.is_stopped for each in others)
        if (owner is not None and owner.was_frozen) or instance in self._frozen_takers:
            looked = max(now - each.runs_since for each in controllers or able) - START_TIME
            calm = min([now - each.ends for each in world.host.pressures], default=unserved)
            limit = FOUND_FROZEN + UNCLAIMED_LIMIT if is_watchdog_waiting else FROZEN_LIMIT
            return min(unserved, looked, calm) - limit
        if is_watchdog_waiting:
            return unserved - UNCLAIMED_LIMIT
        if owner is not None and self._is_troubled(owner):
            return unserved - CUT_OFF_LIMIT
        return unserved - UNSERVED_LIMIT

    def _is_troubled(self, process: SimulatedProcess) -> bool:
        """Whether it could not reach the switch as usual, of late."""
        since = self._world.loop.now - TROUBLE_MEMORY
        network, switch = self._world.network, self._world.switch
        return network.is_troubled(process, since=since) or switch.changed_at >= since

    def _look_at_silence(self, channel: SwitchChannel) -> None:
        hears = bool(channel.playbacks) or channel.has_music or is_conversation(channel)
        is_excused = hears or self._is_waiting_for_late(channel.application)
        silent = 0.0 if is_excused else self._silent.get(channel.id, 0.0) + INTERVAL
        if channel.id in self._world.faults.unreadable:
            silent = min(silent, self._world.loop.now - channel.changed_hands_at)
        self._silent[channel.id] = silent
        self.longest_silence = max(self.longest_silence, silent)
        if silent > SILENCE_LIMIT:
            self.report(f"call {channel.id} hears nothing at {channel.application}")

    def _is_waiting_for_late(self, instance: str) -> bool:
        """Whether who has its calls, or takes them over, is frozen, late itself or cut off."""
        both = (self._world.process_of(instance), self._world.taker_from(instance))
        is_late = any(each is not None and (each.is_frozen or each.is_pressed) for each in both)
        return is_late or self._is_being_taken_late(instance)

    def _look_for_ghosts(self) -> None:
        """Look for calls that a controller serves and the switch has no more."""
        present = self._world.switch.channels
        for process in filter(self._is_able, self._world.processes.values()):
            for call_id in self._world.programs[process].call_ids - present.keys():
                gone = self._gone.get(call_id, 0.0) + INTERVAL
                self._gone[call_id] = gone
                if gone > GHOST_LIMIT:
                    self.report(f"{process.name} serves call {call_id}, which is gone")

    def _look_at_fence(self, process: SimulatedProcess) -> None:
        program = self._world.programs.get(process)
        if program is None or process.is_dead or not program.is_fenced:
            return
        self.look_at_reason(process, "fenced")

    def look_at_reason(self, process: SimulatedProcess, why: str) -> None:
        """Look whether this may end a process."""
        world = self._world
        program = world.programs.get(process)
        is_stopping = program is not None and program.stop.is_set()
        network = world.network
        is_troubled = network.is_troubled(process, since=world.loop.now - TROUBLE_MEMORY)
        allowed = {
            "killed": True,
            "left": is_stopping,
            "stopped": process.was_stopped,
            "hanging": process.hangs_since is not None,
            "not ready": process.was_frozen or is_troubled,
            "fenced": is_stopping or process.was_frozen or is_troubled or process.was_deaf,
        }
        if not allowed.get(why, False):
            self.report(f"{process.name} ended though it was merely late, or well: {why}")

    # What is heard and logged

    def look_at_first_sound(self, called_at: float) -> None:
        """Look how long a caller waited for the first sound: of us, or of the fallback."""
        host, now = self._world.host, self._world.loop.now
        waited = now - called_at
        if waited <= FIRST_SOUND_LIMIT:
            return
        for each in host.pressures:
            is_overload = not each.only and each.mean >= OVERLOAD
            if is_overload and each.begins + OVERLOAD_SEEN <= called_at and now < each.ends:
                self.report(f"a caller waited {waited:.1f} s for late controllers")

    def look_at_log(self, process: SimulatedProcess, message: str) -> None:
        """Look whether an answer was given up that had come."""
        is_disturbed = process.was_stopped or process.was_deaf or self._is_troubled(process)
        if any(each in message for each in NO_ANSWER) and not is_disturbed:
            self.report(f"{process.name} was late itself: {message}")

    # Requests

    def look_at_request(self, request: Request, channel: SwitchChannel | None) -> None:
        """Look at a request that has reached the switch, before it is carried out."""
        if request.method == "GET":
            return
        if channel is not None and channel.place == "stasis":
            self._look_at_owner(request, channel)
        self._look_at_conversation(request, channel)

    def _look_at_owner(self, request: Request, channel: SwitchChannel) -> None:
        if channel.application == request.application or "move" in request.path:
            return
        owner = self._world.process_of(channel.application)
        programs = self._world.programs
        has_it = owner is not None and owner.is_able and not programs[owner].is_fenced
        is_late = request.sent_at <= channel.changed_hands_at and not request.is_given_up
        if has_it and not is_late:
            self.report(
                f"{request.process.name} acted on call {channel.id} of {channel.application}: "
                f"{request.method} {'/'.join(request.path[2:])}"
            )

    def _look_at_conversation(self, request: Request, channel: SwitchChannel | None) -> None:
        match request.method, request.path:
            case ("DELETE", ("bridges", bridge_id)):
                found = self._world.switch.bridges.get(bridge_id)
            case ("DELETE", ("channels", _)) | ("POST", ("channels", _, "continue")):
                found = channel.bridge if channel is not None else None
            case ("POST", ("bridges", _, "removeChannel")):
                found = channel.bridge if channel is not None else None
            case _:
                return
        if found is not None and len(found.channels) > 1:
            self.report(f"conversation {found.id} cut by {request.process.name}")

    def look_at_not_restored(self, call_id: str) -> None:
        """Look whether a call that is left to the fallback could have been restored."""
        self._world.trace(f"ALERT call not restored: {call_id}")
        if call_id not in self._world.faults.unreadable:
            self.report(f"call {call_id} left to the fallback, though it can be restored")

    # Recordings

    def look_at_second_recording(self, first: RunningRecording, process: SimulatedProcess) -> None:
        """Look whether this process records once more what is recorded.

        That is accepted if who began the first ended before it could say so, and if Redis or the
        database, which know of it, are away.
        """
        starter, network = first.starter, self._world.network
        is_late = starter.was_pressed_at >= first.begun_at or network.is_troubled(
            starter, since=first.begun_at
        )
        heard_after = LATE_NEWS_LIMIT if is_late else NEWS_LIMIT
        is_unheard_of = not starter.is_able and starter.turned_at - first.begun_at < heard_after
        is_unheard_of |= network.is_troubled(process, since=self._world.loop.now - CUT_OFF_LIMIT)
        channels = self._world.switch.channels.values()
        if not is_unheard_of and any(each.name == first.channel for each in channels):
            self.report(f"recorded twice: {first.channel}")

    # The end

    def look_at_end(self) -> None:
        """Look at what is there when all callers have gone."""
        world = self._world
        for channel in world.switch.channels.values():
            self.report(f"channel left in the switch: {channel.name} in {channel.place}")
        for bridge in world.switch.bridges.values():
            self.report(f"bridge left in the switch: {bridge.id}")
        for entry in world.database.refused:
            kind = type(entry).__name__
            self.report(f"journal entry refused: {kind} of appeal {entry.appeal_id}")
        for spool in world.servers.settings.journals.glob("*"):
            self.report(f"journal left on disk: {spool.name}")
        appeals: dict[str, list[str | None]] = {}
        for appeal in world.database.appeals.values():
            appeals.setdefault(appeal.call_id, []).append(appeal.outcome)
        for call_id in world.claimed:
            outcomes = appeals.get(call_id, [])
            if not outcomes and call_id not in world.outcomes_by_cel:
                self.report(f"call {call_id} was claimed and left no appeal")
            if None in outcomes:
                self.report(f"call {call_id} has no outcome")
            if len(outcomes) > 1:
                self.report(f"call {call_id} has {len(outcomes)} outcomes: {outcomes}")
