"""Ours against the plain dialplan, in turn, round after round: what `make bench` runs."""

import itertools
import os
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.results import Middle, Sample, highest_rates, of_kind, table
from tests.bench.rig import Rig, rig
from tests.bench.sides import Plain, Product, Stock

SIDES: dict[str, type[Plain] | type[Product]] = {"plain": Plain, "ours": Product}
FIXED = (5.0, 15.0, 30.0)  # new calls a second
GUESS_FROM = 15.0  # the first round's search begins at what a call costs at this one
FIXED_SECONDS = 8.0
CONSULTANTS = 300  # they talk 4 s: enough for 70 calls a second
SPARE = 0.85  # of the processors, which a steady load may use: it comes in bursts
UP, DOWN = 1.1, 0.8  # to the next rate that is tried, after one that held or did not

Say = Callable[[str], None]


@dataclass(frozen=True)
class Budget:
    """How much to measure: with fewer tries the highest rate is known less finely."""

    rounds: int
    tries: int = 4  # rates of a round
    hold_seconds: float = 30.0


QUICK = Budget(rounds=1, tries=2, hold_seconds=12.0)


async def compare(
    budget: Budget, built: Path, say: Say, keep: Callable[[Sequence[Sample]], None]
) -> list[Sample]:
    """All samples; `say` gets a line for each, and `keep` all that there are, as they come."""
    samples: list[Sample] = []
    for number in range(1, budget.rounds + 1):
        for side, make in SIDES.items():
            say(f"round {number} of {budget.rounds}, {side}")
            async with rig(make, Stock(CONSULTANTS), built) as running:
                held = next(filter(None, reversed(highest_rates(samples, side))), None)
                async for sample in _round(running, number, budget, held):
                    samples.append(sample)
                    say(f"  {line(sample)}")
                    keep(samples)
    return samples


async def _round(
    running: Rig, number: int, budget: Budget, begin: float | None
) -> AsyncIterator[Sample]:
    """The fixed rates, then the search for the highest that holds, from the rate `begin` on."""
    for fixed in FIXED:
        sample = await running.measure("fixed", fixed, FIXED_SECONDS, round=number)
        begin = begin or (carried(sample, cores()) if fixed == GUESS_FROM else None)
        yield sample
    tried: list[Sample] = []
    rate = begin
    while rate is not None and len(tried) < budget.tries:
        tried.append(await running.measure("hold", rate, budget.hold_seconds, round=number))
        yield tried[-1]
        rate = next_rate(tried)


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))


def carried(sample: Sample, processors: int) -> float:
    """The calls a second that so many processors should carry, by what a call costs them."""
    cost = (sample.total_cpu + sample.generator) / 1000
    return max(1.0, round(SPARE * processors / cost))


def next_rate(tried: Sequence[Sample]) -> float | None:
    """The rate to try after these; None when one held, and the next higher one did not."""
    last = tried[-1]
    if last.holds and any(each.rate > last.rate for each in tried):
        return None
    if not last.holds and any(each.holds for each in tried):
        return None
    lower = max(1.0, float(int(last.rate * DOWN)))
    higher = max(last.rate + 1, round(last.rate * UP))
    return higher if last.holds else lower if lower < last.rate else None


# What is shown


def line(sample: Sample) -> str:
    """One sample, as progress."""
    cpu = " + ".join(f"{name} {value:.1f}" for name, value in sample.cpu.items())
    faults = "".join(f", {count} {fault}" for fault, count in sample.faults.items())
    return (
        f"{sample.kind} {sample.rate:g}/s: {sample.calls} calls{faults}; "
        f"answer {sample.answer.p50:.1f}/{sample.answer.p95:.1f} ms, "
        f"ring {sample.ring.p50:.1f}/{sample.ring.p95:.1f} ms; CPU {cpu} = "
        f"{sample.total_cpu:.1f} ms a call"
        + (f"; recordings missing {sample.missing}" if sample.missing else "")
        + (
            f"; {sample.off} recordings of another length, by up to "
            f"{sample.difference.worst:.0f} ms"
            if sample.off
            else ""
        )
        + ("" if sample.kind != "hold" else "; holds" if sample.holds else "; does not hold")
    )


def comparison(samples: Sequence[Sample]) -> str:
    """The tables: highest rates, then latencies and CPU at the fixed rates, then by process."""
    best = {side: Middle.of(highest_rates(samples, side)) for side in SIDES}
    rows = [("highest rate that holds", *(best[side].text(0) for side in SIDES), "")]
    ratio = best["ours"].median / best["plain"].median if best["plain"].median else float("nan")
    rows[0] = (*rows[0][:3], f"{ratio:.2f} of plain")
    for rate in FIXED:
        rows += _rows(samples, rate)
    heads = ("median (least-most)", *SIDES, "")
    return table([heads, *rows]) + "\n\n" + table(_processes(samples))


def _rows(samples: Sequence[Sample], rate: float) -> list[tuple[str, str, str, str]]:
    found = {side: of_kind(samples, side, "fixed", rate) for side in SIDES}

    def both(
        name: str, value: Callable[[Sample], float], compare: Callable[[float, float], str]
    ) -> tuple[str, str, str, str]:
        plain, ours = (Middle.of(map(value, found[side])) for side in SIDES)
        return (
            f"{name} at {rate:g}/s",
            plain.text(),
            ours.text(),
            compare(plain.median, ours.median),
        )

    def later(plain: float, ours: float) -> str:
        return f"{ours - plain:+.1f} ms"

    def times(plain: float, ours: float) -> str:
        return f"{ours / plain:.2f} of plain" if plain else ""

    return [
        both("INVITE to 200, p50", lambda s: s.answer.p50, later),
        both("INVITE to 200, p95", lambda s: s.answer.p95, later),
        both("key to INVITE, p50", lambda s: s.ring.p50, later),
        both("key to INVITE, p95", lambda s: s.ring.p95, later),
        both("CPU ms a call", lambda s: s.total_cpu, times),
        both("memory, MB", lambda s: sum(s.memory.values()) / 1e6, times),
        both("recorded KB a call", lambda s: s.recorded / s.calls / 1000, times),
        both("failed calls", lambda s: s.failed, lambda _a, _b: ""),
        both("recordings missing or off", lambda s: s.missing + s.off, lambda _a, _b: ""),
    ]


def _processes(samples: Sequence[Sample]) -> list[tuple[str, ...]]:
    names = list(dict.fromkeys(itertools.chain.from_iterable(sample.cpu for sample in samples)))
    rows: list[tuple[str, ...]] = [("CPU ms a call", *names, "generator")]
    for rate, side in itertools.product(FIXED, SIDES):
        found = of_kind(samples, side, "fixed", rate)
        cells = [Middle.of(s.cpu[name] for s in found if name in s.cpu).text() for name in names]
        rows.append((f"{side} at {rate:g}/s", *cells, Middle.of(s.generator for s in found).text()))
    return rows
