"""What happens in one run, drawn from its seed: controllers, calls, and faults."""

from dataclasses import dataclass
from enum import StrEnum

from tests.seeds import SeededRandom

QUIET_BEFORE = 8.0  #: seconds at the beginning without a fault: controllers start
QUIET_AFTER = 20.0  #: seconds at the end without a new one


class FaultKind(StrEnum):
    """What befalls the machine or one process."""

    KILL = "kill"
    TWO_DEATHS = "two deaths"  #: within a second, one perhaps in the middle of its takeover
    ALL_DEAD = "all dead"  #: all controllers at once, for a while
    STOP = "stop"  #: SIGSTOP: its sentinel kills it
    HANG = "hang"  #: it computes for ever: its sentinel kills it
    FREEZE = "freeze"  #: with its sentinel, and it goes on later
    PRESSURE = "pressure"  #: all wait for the processor
    STARVE = "starve"  #: one gets no processor for seconds
    LATE = "late"  #: what one sends to Asterisk, and hears from it, is late
    CUT = "cut"  #: one cannot reach Asterisk
    LATE_RESTART = "late restart"  #: in order, while claims are on their way
    RESTART = "restart"  #: in order, by SIGTERM
    EMPTY_REDIS = "empty redis"  #: Redis comes back without anything, as it is set up to
    OLD_REDIS = "old redis"  #: Redis comes back as it was seconds ago
    LATE_REDIS = "late redis"
    DEAF = "deaf"  #: the switch answers one, and sends it no events, until it connects again
    SWITCH_RESTART = "switch restart"  #: all calls end, and it takes seconds
    WATCHDOG_DEATH = "watchdog death"


_WEIGHTS = {
    FaultKind.KILL: 4,
    FaultKind.TWO_DEATHS: 3,
    FaultKind.ALL_DEAD: 1,
    FaultKind.STOP: 3,
    FaultKind.HANG: 2,
    FaultKind.FREEZE: 3,
    FaultKind.PRESSURE: 3,
    FaultKind.STARVE: 3,
    FaultKind.LATE: 2,
    FaultKind.CUT: 2,
    FaultKind.LATE_RESTART: 2,
    FaultKind.RESTART: 3,
    FaultKind.EMPTY_REDIS: 2,
    FaultKind.OLD_REDIS: 1,
    FaultKind.LATE_REDIS: 1,
    FaultKind.DEAF: 2,
    FaultKind.SWITCH_RESTART: 1,
    FaultKind.WATCHDOG_DEATH: 1,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: when (seconds from the beginning), to which controllers, how long, how strong."""

    at: float
    kind: FaultKind
    victims: tuple[str, ...]
    length: float  #: seconds
    strength: float  #: seconds: of a wait, or of a delay

    def __str__(self) -> str:
        to = " ".join(self.victims)
        return f"{self.kind.value} {to} for {self.length:.2f} s by {self.strength:.3f} s"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One run. Times are in seconds."""

    seed: int
    length: float
    controllers: int
    consultants: int
    call_interval: float
    restart_delay: float
    faults: tuple[Fault, ...]


def draw(seed: int, length: float) -> Scenario:
    """Return the scenario of a seed: of this length, with a fault in each half minute or so."""
    random = SeededRandom(f"{seed} scenario")
    controllers = random.randint(2, 4)
    names = [f"line-{number}" for number in range(1, controllers + 1)]
    times = []
    at = QUIET_BEFORE + random.uniform(0, 10)
    while at < length - QUIET_AFTER:
        times.append(at)
        at += random.expovariate(1 / 15)
    return Scenario(
        seed=seed,
        length=length,
        controllers=controllers,
        consultants=random.randint(3, 8),
        call_interval=random.choice((1.5, 3.0, 6.0)),
        restart_delay=random.choice((0.5, 1.0, 4.0)),
        faults=tuple(_draw_fault(random, each, names) for each in times),
    )


def _draw_fault(random: SeededRandom, at: float, names: list[str]) -> Fault:
    kind = random.choices(list(_WEIGHTS), weights=list(_WEIGHTS.values()))[0]
    count = {FaultKind.TWO_DEATHS: 2, FaultKind.ALL_DEAD: len(names)}.get(kind, 1)
    victims = tuple(random.sample(names, count))
    length, strength = random.uniform(0.3, 8), 0.0
    match kind:
        case FaultKind.TWO_DEATHS:
            length = random.uniform(0, 2)  # between the two
        case FaultKind.ALL_DEAD:
            length = random.uniform(2, 10)
        case FaultKind.STOP:
            length = random.choice((0.2, 0.8, 3.0, 20.0))
        case FaultKind.FREEZE:
            length = random.uniform(2, 25)
        case FaultKind.PRESSURE:
            length, strength = random.uniform(3, 15), random.choice((0.01, 0.05, 0.2, 0.6))
        case FaultKind.STARVE:
            length, strength = random.uniform(3, 15), random.choice((0.5, 2.0, 5.0))
        case FaultKind.CUT:
            length = random.choice((1.0, 3.0, 6.0, 20.0))
        case FaultKind.LATE_RESTART:
            length, strength = random.uniform(1, 4), random.choice((0.05, 0.15))
        case FaultKind.LATE | FaultKind.LATE_REDIS:
            strength = random.choice((0.05, 0.3, 1.0))
    return Fault(at, kind, victims, length, strength)
