"""Overload: both sides beside busy loops; who was served, by whom, and what is lost.

A caller meets a consultant, put through by a controller or by the dialplan's fallback, or waits in
the fallback's queue until hanging up, or neither: that one is lost, also who waited with a
controller. Times are worse than usual here by intent; people and records must all be there.
"""

import asyncio
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.compare import SIDES
from tests.bench.facts import Fact, Stored, legs_of_callers
from tests.bench.results import OFF, Spread, table
from tests.bench.rig import Rig, rig
from tests.bench.sides import Plain, Product, Stock
from tests.bench.telephones import SECOND_KEY, PlacedCall, RungLeg

TALK = 10.0  # seconds from the key to the hang-up: who comes late still meets a consultant
SPARE = 50  # consultants more than talk at once
FRAMES = 3  # of 20 ms a packet: telephones on this machine must leave some of it to the sides
ADOPTED = 90.0  # seconds after all is registered within which recordings must be there
DRAIN = 60.0  # seconds after the last call within which all must be over

Say = Callable[[str], None]


@dataclass(frozen=True)
class Callers:
    """Whom the callers of one side met."""

    consultant: int  #: conversations
    fallback: int  #: of these, put through by the dialplan's fallback; plain has no other way
    waited: int  #: reached the queue of the fallback (plain: the queue) and met nobody in time
    lost: Counter[str]  #: neither, by what happened
    cut: int  #: conversations that the switch ended
    unregistered: int  #: answered calls that are not in register or CDR
    unrecorded: int  #: conversations without a recording
    blamed: tuple[str, ...]  #: numbers of who is lost, cut, or not recorded


@dataclass(frozen=True)
class Overload:
    """What became of the calls of one side."""

    side: str
    rate: float
    loops: int
    calls: int
    met: Callers
    answer: Spread
    restarted: int  #: processes that died, and were started again
    placed_late: float  #: milliseconds, at worst: of the telephones, not of the side
    stories: list[str]  #: what the side has of those who are blamed on it


async def overload(
    names: Sequence[str], rate: float, seconds: float, loops: int, built: Path, say: Say
) -> list[Overload]:
    """One measurement of each side, in turn."""
    found = []
    for name in names:
        found.append(await _overload(SIDES[name], rate, seconds, loops, built))
        say("\n".join((f"{name}: {found[-1].met}", *found[-1].stories)))
    return found


async def _overload(
    kind: type[Plain] | type[Product], rate: float, seconds: float, loops: int, built: Path
) -> Overload:
    sides: list[Plain | Product] = []

    def make(folder: Path, prompts: Path, stock: Stock) -> Plain | Product:
        sides.append(kind(folder, prompts, stock))
        return sides[0]

    at_once = round(min(rate * (TALK + SECOND_KEY), rate * seconds))
    async with rig(make, Stock(at_once + SPARE), built, FRAMES) as running:
        await running.lanes(5, 2, 1.0)  # the first calls of a process find nothing warm
        running.consultants.legs.clear()
        (side,) = sides
        before = side.roots()
        with busy_loops(loops):
            calls = await running.load(
                iter([1 / rate] * round(rate * seconds)), TALK, lambda _: True, seconds + DRAIN
            )
        facts, met = await _met(running, calls)
        restarted = sum(side.roots()[each] != pid for each, pid in before.items())
        return Overload(
            side.name,
            rate,
            loops,
            len(calls),
            met,
            Spread.of(fact.answer for fact in facts),
            restarted,
            placed_late(calls, rate),
            await side.stories(met.blamed),
        )


async def _met(running: Rig, calls: Sequence[PlacedCall]) -> tuple[list[Fact], Callers]:
    """What became of the calls. A job of every minute takes in what the fallback recorded."""
    numbers = [call.number for call in calls]
    deadline = time.monotonic() + ADOPTED
    while True:
        facts = await running.facts(calls)
        shown = legs_of_callers(running.consultants.legs)
        queued = await running.side.reached_queue(numbers)
        met = whom_they_met(calls, facts, shown, queued, await running.side.stored(numbers))
        if not met.unrecorded or time.monotonic() > deadline:
            return facts, met
        await asyncio.sleep(5)


def whom_they_met(
    calls: Sequence[PlacedCall],
    facts: Sequence[Fact],
    shown: Mapping[str, Sequence[RungLeg]],
    queued: Container[str],
    stored: Mapping[str, Stored],
) -> Callers:
    """Count whom callers met.

    The fallback shows consultants the caller's number, controllers 111: `shown` has the legs of the
    former. `queued` are the callers who reached the fallback's queue.
    """
    met: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    blamed: list[str] = []
    for call, fact in zip(calls, facts, strict=True):
        row = stored.get(call.number)
        by_fallback = any(leg.acknowledged_at is not None for leg in shown.get(call.number, ()))
        is_unanswered = row is not None and row.fault is not None  # the side's own word
        if by_fallback or (fact.heard and not is_unanswered):
            met["consultant"] += 1
            met["fallback"] += by_fallback
            met["cut"] += call.fault is not None
            is_unrecorded = row is None or row.recorded is None or _is_lost(row.recorded, fact)
            met["unrecorded"] += is_unrecorded
            if is_unrecorded or call.fault is not None:
                blamed.append(call.number)
        elif call.number in queued:
            met["waited"] += 1
        else:
            lost[fact.fault or "?"] += 1
            blamed.append(call.number)
        met["unregistered"] += call.answered_at is not None and row is None
    return Callers(
        consultant=met["consultant"],
        fallback=met["fallback"],
        waited=met["waited"],
        lost=lost,
        cut=met["cut"],
        unregistered=met["unregistered"],
        unrecorded=met["unrecorded"],
        blamed=tuple(blamed),
    )


def _is_lost(recorded: float, fact: Fact) -> bool:
    """Whether nothing was recorded of a conversation that lasted."""
    return not recorded and fact.short is not None and fact.short > OFF


def placed_late(calls: Sequence[PlacedCall], rate: float) -> float:
    """Milliseconds after its turn at which the latest of the calls was placed."""
    first = calls[0].invite_at
    return 1000 * max(call.invite_at - first - n / rate for n, call in enumerate(calls))


@contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """So many other processes that want a processor each, within the block.

    In sessions of their own: what shares one shares its priority too (sched(7), autogroup).
    """
    command = ("setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-c", "while True: pass")
    loops = [subprocess.Popen(command, start_new_session=True) for _ in range(count)]
    try:
        yield
    finally:
        for each in loops:
            each.kill()
            each.wait()


def shown(found: Sequence[Overload]) -> str:
    """A row for each measurement."""
    rows: list[tuple[str, ...]] = [
        (
            *("side", "a second", "loops", "calls"),
            *("consultant", "by the fallback", "waited in its queue", "neither", "cut"),
            *("no appeal", "no recording", "answer p95", "restarted", "placed late"),
        )
    ]
    rows += [
        (
            each.side,
            f"{each.rate:g}",
            str(each.loops),
            str(each.calls),
            str(each.met.consultant),
            str(each.met.fallback),
            str(each.met.waited),
            ", ".join(f"{n} {fault}" for fault, n in each.met.lost.items()) or "0",
            str(each.met.cut),
            str(each.met.unregistered),
            str(each.met.unrecorded),
            f"{each.answer.p95:.0f} ms",
            str(each.restarted),
            f"{each.placed_late:.0f} ms",
        )
        for each in found
    ]
    return table(rows)
