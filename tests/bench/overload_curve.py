"""The curve of overload (`make overload`): calls served at and past the rate that plain carries.

First without anything beside, at 100, 130 and 200 % of that rate; then beside busy loops, at the
rate that plain carries there and at 20 a second, where ours must lose nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.overload import Overload, Say, overload, shown

SHARES = (1.0, 1.3, 2.0)  # of the rate that plain carries
AIM = 0.9  # of the calls that plain serves at its best rate, at 130 %
LOOPS = 2
RATE_BESIDE_LOOPS = 20.0  # calls a second: at it ours lost 507 of 600 on 27 November 2026
FIRST_RATE, STEP = 16.0, 1.15
SIDES = ("plain", "ours")


@dataclass(frozen=True)
class Curve:
    """All measurements, in their order, and the rate that plain carried alone."""

    best_rate: float
    alone: Sequence[Overload]
    beside_loops: Sequence[Overload]

    @property
    def share_of_best(self) -> float:
        """Calls that ours serves at 130 %, as a share of those of plain at its best rate."""
        best = next(each for each in self.alone if each.side == "plain")
        ours = [each for each in self.alone if each.side == "ours"]
        return served_rate(ours[SHARES.index(1.3)]) / served_rate(best)

    def faults(self) -> list[str]:
        """What ours lost beside the loops, and an aim that was missed; in words."""
        lost = [
            f"ours lost something at {each.rate:g} a second beside {each.loops} loops"
            for each in self.beside_loops
            if each.side == "ours" and not is_lossless(each)
        ]
        if self.share_of_best < AIM:
            lost.append(f"at 130 % ours serves {self.share_of_best:.3f} of plain's best, not {AIM}")
        return lost

    def table(self) -> str:
        """For people."""
        return "\n\n".join(
            (
                f"plain carries {self.best_rate:.1f} calls a second; at 130 % of them ours serves "
                f"{self.share_of_best:.2f} of what plain serves then",
                shown(self.alone),
                shown(self.beside_loops),
                *self.faults(),
            )
        )


def served_rate(found: Overload) -> float:
    """Conversations for each second of calls."""
    return found.met.consultant * found.rate / found.calls


def is_lossless(found: Overload) -> bool:
    """Whether each caller met a consultant or the queue, and all is registered and recorded."""
    met = found.met
    missing = met.lost.total() + met.cut + met.unregistered + met.unrecorded
    return not missing and not found.restarted


async def measure_curve(seconds: float, built: Path, say: Say) -> Curve:
    """Find the rate that plain carries, alone and beside the loops, and measure both sides."""
    best = await _find_best_rate(seconds, 0, built, say)
    alone = [
        each
        for share in SHARES
        for each in await overload(SIDES, best * share, seconds, 0, built, say)
    ]
    beside = [
        each
        for rate in (await _find_best_rate(seconds, LOOPS, built, say), RATE_BESIDE_LOOPS)
        for each in await overload(SIDES, rate, seconds, LOOPS, built, say)
    ]
    return Curve(best, alone, beside)


async def _find_best_rate(seconds: float, loops: int, built: Path, say: Say) -> float:
    """The highest rate at which plain loses nobody, in steps."""
    rate = FIRST_RATE
    while True:
        say(f"plain at {rate:.1f} a second, {loops} loops beside")
        [found] = await overload(("plain",), rate, seconds, loops, built, say)
        if found.met.consultant < found.calls:
            return rate / STEP
        rate *= STEP
