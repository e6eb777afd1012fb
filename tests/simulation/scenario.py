"""What happens in one run, drawn from its seed: controllers, calls, and faults."""

from collections.abc import Sequence
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
    PRESSURE = "pressure"  #: all wait for the processor; in an overload many call
    STARVE = "starve"  #: one gets no processor for seconds
    LATE = "late"  #: what one sends to Asterisk, and hears from it, is late
    CUT = "cut"  #: one cannot reach Asterisk
    SHORT_CUT = "short cut"  #: not long enough for it to give its calls up
    LATE_RESTART = "late restart"  #: in order, while a claim is on its way
    DEATH_IN_DEAFNESS = "death in deafness"  #: while another, who may take over, hears no events
    DEATH_IN_CUT = "death in cut"  #: while another, who may take over, cannot reach Asterisk
    DEATH_AT_CLAIM = "death at claim"  #: of who has just begun to serve a caller
    CUT_AT_CLAIM = "cut at claim"  #: a short one, between Asterisk and who claims a call
    DEATH_AT_CONNECT = "death at connect"  #: of who has just connected a caller with somebody
    DEATH_IN_MOVE = "death in move"  #: of who takes over and has one leg of a conversation
    LEFT_IN_HANDOVER = "left in handover"  #: in order, and who talks hangs up at this moment
    STOPPED_TAKER = "stopped taker"  #: one dies, and SIGSTOP comes to who takes over
    FROZEN_TAKER = "frozen taker"  #: as the last, with its sentinel
    UNREADABLE = "unreadable"  #: one dies, and nobody can read what is recorded of its calls
    RESTART = "restart"  #: in order, by SIGTERM
    EMPTY_REDIS = "empty redis"  #: Redis comes back without anything, as it is set up to
    OLD_REDIS = "old redis"  #: Redis comes back as it was seconds ago, and one dies
    LATE_REDIS = "late redis"
    NO_DATABASE = "no database"  #: nobody reaches PostgreSQL, and one dies meanwhile
    DEAF = "deaf"  #: the switch answers one, and sends it no events, until it connects again
    SWITCH_RESTART = "switch restart"  #: all calls end, and it takes seconds
    WATCHDOG_DEATH = "watchdog death"


#: How often the kinds are drawn; the others are drawn alone, for a safeguard (`ablation.py`).
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
    FaultKind.SHORT_CUT: 3,
    FaultKind.DEATH_IN_DEAFNESS: 2,
    FaultKind.LATE_RESTART: 3,
    FaultKind.DEATH_IN_CUT: 2,
    FaultKind.DEATH_AT_CLAIM: 2,
    FaultKind.CUT_AT_CLAIM: 2,
    FaultKind.STOPPED_TAKER: 1,
    FaultKind.FROZEN_TAKER: 2,
    FaultKind.UNREADABLE: 2,
    FaultKind.RESTART: 3,
    FaultKind.EMPTY_REDIS: 2,
    FaultKind.OLD_REDIS: 2,
    FaultKind.LATE_REDIS: 1,
    FaultKind.NO_DATABASE: 2,
    FaultKind.DEAF: 2,
    FaultKind.SWITCH_RESTART: 1,
    FaultKind.WATCHDOG_DEATH: 1,
}


_OF_TWO = (FaultKind.TWO_DEATHS, FaultKind.DEATH_IN_CUT, FaultKind.DEATH_IN_DEAFNESS)
#: From how many seconds to how many a fault lasts, and how strong it may be.
_EXTENT: dict[FaultKind, tuple[tuple[float, float], tuple[float, ...]]] = {
    FaultKind.TWO_DEATHS: ((0.0, 2.0), (0.0,)),  # between the two
    FaultKind.ALL_DEAD: ((2.0, 10.0), (0.0,)),
    FaultKind.STOP: ((0.2, 6.0), (0.0,)),
    FaultKind.FREEZE: ((2.0, 25.0), (0.0,)),
    FaultKind.PRESSURE: ((3.0, 15.0), (0.01, 0.05, 0.2, 0.6)),
    FaultKind.STARVE: ((3.0, 15.0), (0.5, 2.0, 5.0)),
    FaultKind.LATE: ((0.3, 8.0), (0.05, 0.3, 1.0)),
    FaultKind.CUT: ((1.0, 20.0), (0.0,)),
    FaultKind.SHORT_CUT: ((1.0, 3.4), (0.0,)),
    FaultKind.DEATH_IN_CUT: ((0.5, 8.0), (0.0,)),
    FaultKind.DEATH_AT_CLAIM: ((0.0, 0.0), (0.02, 0.05, 0.09)),
    FaultKind.DEATH_AT_CONNECT: ((0.0, 0.0), (0.0, 0.01, 0.02)),
    FaultKind.CUT_AT_CLAIM: ((1.0, 3.4), (0.0,)),
    FaultKind.STOPPED_TAKER: ((0.5, 6.0), (0.0, 0.03)),
    FaultKind.FROZEN_TAKER: ((8.0, 25.0), (0.0, 0.01, 0.03)),
    FaultKind.LATE_RESTART: ((1.0, 1.0), (0.1, 0.15)),
    FaultKind.OLD_REDIS: ((2.0, 8.0), (0.0,)),
    FaultKind.NO_DATABASE: ((4.0, 20.0), (0.0,)),
    FaultKind.LATE_REDIS: ((0.3, 8.0), (0.05, 0.3, 1.0)),
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


def draw(seed: int, length: float, kinds: Sequence[FaultKind] = ()) -> Scenario:
    """Return the scenario of a seed: of this length, with a fault in each half minute or so.

    `kinds` are those that its faults are of, each as often as the others; empty: of all that
    have a weight, by it.
    """
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
        call_interval=random.choice((0.5, 1.5, 3.0, 6.0)),
        restart_delay=random.choice((0.5, 1.0, 4.0)),
        faults=tuple(_draw_fault(random, each, names, kinds) for each in times),
    )


def _draw_fault(
    random: SeededRandom, at: float, names: list[str], kinds: Sequence[FaultKind]
) -> Fault:
    weights = dict.fromkeys(kinds, 1) or _WEIGHTS
    kind = random.choices(list(weights), weights=list(weights.values()))[0]
    count = len(names) if kind is FaultKind.ALL_DEAD else 2 if kind in _OF_TWO else 1
    victims = tuple(random.sample(names, count))
    length, strengths = _EXTENT.get(kind, ((0.3, 8.0), (0.0,)))
    return Fault(at, kind, victims, random.uniform(*length), random.choice(strengths))
