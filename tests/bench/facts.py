"""What became of each call, put together from what both telephones and the switch's side noted."""

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
class Kept:
    """What the side says it kept of a call: seconds and bytes of its recording, if there is one."""

    recorded: float | None
    size: int
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Fact:
    """One call. Latencies in milliseconds, and so is `short`: how much the recording lacks."""

    at: float
    answer: float | None
    ring: float | None
    fault: str | None
    size: int = 0
    short: float | None = None


def legs_of_callers(legs: Iterable[RungLeg]) -> dict[str, list[RungLeg]]:
    """Where the consultant's telephone shows the caller's number, that says whose leg it is."""
    found: dict[str, list[RungLeg]] = defaultdict(list)
    for leg in legs:
        found[leg.caller].append(leg)
    return found


def legs_of_rings(rings: Iterable[Ring], legs: Iterable[RungLeg]) -> dict[str, list[RungLeg]]:
    """Where it shows 111, the database says who was rung for whom, and time says which ring."""
    waiting: dict[str, list[RungLeg]] = defaultdict(list)
    for leg in sorted(legs, key=lambda each: each.invite_at, reverse=True):
        waiting[leg.extension].append(leg)
    found: dict[str, list[RungLeg]] = defaultdict(list)
    for ring in sorted(rings, key=lambda each: each.at):
        candidates = waiting[ring.extension]
        while candidates:
            leg = candidates.pop()
            if leg.invite_at >= ring.at - BEFORE:
                found[ring.number].append(leg)
                break
    return found


def facts(
    calls: Sequence[PlacedCall],
    legs: Mapping[str, Sequence[RungLeg]],
    kept: Mapping[str, Kept],
) -> list[Fact]:
    """In the order of the calls. A call that no consultant heard has a fault, whatever it says."""
    return [_fact(call, legs.get(call.number, ()), kept.get(call.number)) for call in calls]


def _fact(call: PlacedCall, legs: Sequence[RungLeg], kept: Kept | None) -> Fact:
    answer = None if call.answered_at is None else (call.answered_at - call.invite_at) * 1000
    ring = None
    if legs and call.key_at is not None:
        ring = (legs[0].invite_at - call.key_at) * 1000
    heard = next((leg for leg in legs if leg.acknowledged_at is not None), None)
    fault = call.fault
    if fault is None and heard is None:
        fault = "no consultant"
    elif fault is None and kept is None:
        fault = "no record"
    elif fault is None and kept is not None:
        fault = kept.fault
    short = None
    if kept is not None and kept.recorded is not None and heard is not None:
        short = (_length(call, heard) - kept.recorded) * 1000
    return Fact(call.invite_at, answer, ring, fault, kept.size if kept is not None else 0, short)


def _length(call: PlacedCall, leg: RungLeg) -> float:
    """Of the conversation, in seconds: from the consultant's ACK until one of the two hung up."""
    ends = [at for at in (call.ended_at, leg.ended_at) if at is not None]
    if leg.acknowledged_at is None or not ends:
        return 0.0
    return min(ends) - leg.acknowledged_at
