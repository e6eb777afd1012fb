"""What became of each call, put together from what both telephones and the switch's side noted."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tests.bench.telephones import PlacedCall, RungLeg

BEFORE = 0.005  # seconds by which a note in the database may be younger than what it tells of


@dataclass(frozen=True, slots=True)
class Ring:
    """The database's word that a consultant is being rung for a caller; `at` is monotonic."""

    number: str
    extension: str
    at: float


@dataclass(frozen=True, slots=True)
class Stored:
    """What the side says it kept of a call: seconds and bytes of its recording, if there is one."""

    recorded: float | None
    size: int
    fault: str | None = None

    @classmethod
    def of(cls, outcome: str, state: str | None, milliseconds: int | None, size: int) -> "Stored":
        """By the appeal's outcome, and state, length and size of its recording.

        An empty recording is none that is missing: neither side sent a packet.
        """
        fault = None if outcome == "talked" else f"outcome {outcome}"
        if state == "stored" and milliseconds is not None:
            return cls(milliseconds / 1000, size, fault)
        return cls(0.0 if state == "empty" else None, 0, fault)


@dataclass(frozen=True, slots=True)
class Fact:
    """One call. Latencies in milliseconds, and so is `short`: how much the recording lacks."""

    at: float
    answer: float | None
    ring: float | None
    fault: str | None
    size: int = 0
    short: float | None = None
    heard: bool = False  #: a consultant answered


def legs_of_callers(legs: Iterable[RungLeg]) -> dict[str, list[RungLeg]]:
    """Where the consultant's telephone shows the caller's number, that says whose leg it is."""
    found: dict[str, list[RungLeg]] = defaultdict(list)
    for leg in legs:
        found[leg.caller].append(leg)
    return found


def legs_of_rings(rings: Iterable[Ring], legs: Iterable[RungLeg]) -> dict[str, list[RungLeg]]:
    """Where it shows 111, the database says who was rung for whom, and time says which ring.

    A consultant is rung for one call at a time: a leg is that of the last ring before it. A ring
    that never reached the telephone has none.
    """
    rung: dict[str, list[Ring]] = defaultdict(list)
    for ring in sorted(rings, key=lambda each: each.at):
        rung[ring.extension].append(ring)
    found: dict[Ring, RungLeg] = {}
    for leg in sorted(legs, key=lambda each: each.invite_at):
        before = bisect_right(rung[leg.extension], leg.invite_at + BEFORE, key=lambda each: each.at)
        if before:
            found.setdefault(rung[leg.extension][before - 1], leg)
    legs_of: dict[str, list[RungLeg]] = defaultdict(list)
    for ring in sorted(found, key=lambda each: each.at):
        legs_of[ring.number].append(found[ring])
    return legs_of


def facts(
    calls: Sequence[PlacedCall],
    legs: Mapping[str, Sequence[RungLeg]],
    stored: Mapping[str, Stored],
) -> list[Fact]:
    """In the order of the calls. A call that no consultant heard has a fault, whatever it says."""
    return [_fact(call, legs.get(call.number, ()), stored.get(call.number)) for call in calls]


def _fact(call: PlacedCall, legs: Sequence[RungLeg], stored: Stored | None) -> Fact:
    answer = None if call.answered_at is None else (call.answered_at - call.invite_at) * 1000
    ring = None
    if legs and call.key_at is not None:
        ring = (legs[0].invite_at - call.key_at) * 1000
    heard = next((leg for leg in legs if leg.acknowledged_at is not None), None)
    fault = call.fault
    if fault is None and heard is None:
        fault = "no consultant"
    elif fault is None and stored is None:
        fault = "no record"
    elif fault is None and stored is not None:
        fault = stored.fault
    short = None
    if stored is not None and stored.recorded is not None and heard is not None:
        short = (_length(call, heard) - stored.recorded) * 1000
    size = stored.size if stored is not None else 0
    return Fact(call.invite_at, answer, ring, fault, size, short, heard is not None)


def _length(call: PlacedCall, leg: RungLeg) -> float:
    """Of the conversation, in seconds: from the consultant's ACK until one of the two hung up."""
    ends = [at for at in (call.ended_at, leg.ended_at) if at is not None]
    if leg.acknowledged_at is None or not ends:
        return 0.0
    return min(ends) - leg.acknowledged_at
