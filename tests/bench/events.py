"""The event path by itself: what events and requests of ARI and AMI cost a controller.

The same product and the same calls, with controllers in three variants: as they are, without any
filter of events, and with requests by HTTP instead of the WebSocket.
"""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from callcenter.launcher.managed_process import LaunchContext, ProcessSpec
from callcenter.launcher.supervisor import LaunchPlan, LaunchStep
from callcenter.platform.core.settings import ROOT, Settings
from tests.bench.results import Middle, Sample, table
from tests.bench.rig import rig
from tests.bench.sides import Product, Stock

RATE, SECONDS = 10.0, 8.0
CONSULTANTS = 100
HERE = (sys.executable, "-m", "tests.bench.controller")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Variant:
    name: str
    options: tuple[str, ...] = ()


VARIANTS = (
    Variant("as it is"),
    Variant("every event", ("--every-event",)),
    Variant("by HTTP", ("--http",)),
)


class Counted(Product):
    """The product, with controllers that count."""

    def __init__(self, variant: Variant, folder: Path, prompts: Path, stock: Stock) -> None:
        self._variant = variant
        super().__init__(folder, prompts, stock)

    def plan(self, settings: Settings, around: LaunchContext) -> LaunchPlan:
        plan = super().plan(settings, around)
        stages: list[Sequence[ProcessSpec | LaunchStep]] = []
        for stage in plan.stages:
            stages.append([self._counting(member) for member in stage])
            if "--every-event" in self._variant.options and stage[0].name == "render":
                stages.append([LaunchStep("unfilter", (*HERE, "--remove-filters"))])
        return replace(plan, stages=stages)

    def _counting(self, member: ProcessSpec | LaunchStep) -> ProcessSpec | LaunchStep:
        if isinstance(member, ProcessSpec) and member.name.startswith("line-"):
            command = (*HERE, "--name", member.name, *self._variant.options)
            confined = member.sandbox
            if confined is not None:  # the counting itself has to be read
                confined = replace(confined, reads=(*confined.reads, ROOT / "tests"))
            return replace(member, command=command, sandbox=confined)
        return member

    def counts(self) -> dict[str, float]:
        """What all controllers together counted, once they have ended."""
        sums: dict[str, float] = {}
        for file in self.settings.journals.glob("line-*.counts.json"):
            for name, value in json.loads(file.read_text()).items():
                sums[name] = sums.get(name, 0.0) + value
        return sums


async def events(
    rounds: int, built: Path, say: Say, keep: Callable[[Sequence[Sample]], None]
) -> list[Sample]:
    """A sample of each variant in each round, in turn; `more` has the counts a call."""
    samples: list[Sample] = []
    for number in range(1, rounds + 1):
        for variant in VARIANTS:
            say(f"round {number} of {rounds}: {variant.name}")
            samples.append(await _one(variant, built))
            keep(samples)
    return samples


async def _one(variant: Variant, built: Path) -> Sample:
    sides: list[Counted] = []

    def make(folder: Path, prompts: Path, stock: Stock) -> Counted:
        sides.append(Counted(variant, folder, prompts, stock))
        return sides[0]

    async with rig(make, Stock(CONSULTANTS), built) as running:
        sample = await running.measure(variant.name, RATE, SECONDS)
        # The counts are written when the controllers end, and are gone with the folder.
        await running.side.stop()
        counts = sides[0].counts()
    return replace(sample, more={name: value / sample.calls for name, value in counts.items()})


def shown(samples: Sequence[Sample]) -> str:
    """A row for each variant: medians over the rounds."""
    heads = (
        *("a call", "ARI events", "their CPU us", "AMI events", "their CPU us", "requests"),
        *("controllers CPU ms", "Asterisk CPU ms", "answer p50 ms", "ring p50 ms", "failed"),
    )
    rows = [heads]
    for variant in VARIANTS:
        found = [sample for sample in samples if sample.kind == variant.name]

        def text(value: Callable[[Sample], float], found: list[Sample] = found) -> str:
            return Middle.of(map(value, found)).text()

        rows.append(
            (
                variant.name,
                text(lambda s: s.more["ari"]),
                text(lambda s: s.more["ari seconds"] * 1e6),
                text(lambda s: s.more["ami"]),
                text(lambda s: s.more["ami seconds"] * 1e6),
                text(lambda s: s.more["requests"]),
                text(lambda s: s.cpu["line"]),
                text(lambda s: s.cpu["asterisk"]),
                text(lambda s: s.answer.p50),
                text(lambda s: s.ring.p50),
                text(lambda s: float(s.failed)),
            )
        )
    return table(rows)
