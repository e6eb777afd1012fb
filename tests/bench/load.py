"""Hundreds of conversations at once for minutes, with new ones coming: is anything lost, and does
anything grow?
"""

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from callcenter.settings import Settings
from callcenter.up.child import Part, Surroundings
from callcenter.up.supervisor import Plan, Step
from tests.bench.results import Sample, table
from tests.bench.rig import Rig, rig
from tests.bench.sides import Product, Stock
from tests.bench.telephones import SECOND_KEY

TALK = 60.0
OVER = 45.0  # seconds after the last call should have ended, after which it is given up
EVERY = 15.0  # seconds between two looks at the memory
COMPLAINT = re.compile(r"\b(WARNING|ERROR|CRITICAL)\b")

Say = Callable[[str], None]
Looks = list[tuple[float, dict[str, float]]]  # when, and bytes by process


async def load(
    at_once: int,
    minutes: float,
    frames: int,
    built: Path,
    say: Say,
    keep: Callable[[Sequence[Sample]], None],
) -> Sample:
    """So many calls at once, for so long after the first of them has ended.

    Each packet of sound, of telephones and of the switch, has so many frames of 20 ms.
    """
    length = SECOND_KEY + TALK
    rate = at_once / length
    seconds = length + minutes * 60
    side = Product if frames == 1 else _AskedForPacketTime
    async with rig(side, Stock(at_once + 20), built, frames) as running:
        begun = time.monotonic()
        looks: Looks = []
        looking = asyncio.create_task(_look(running, looks, say))
        pauses = iter([1 / rate] * round(rate * seconds))
        limit = seconds + length + OVER
        calling = running.load(pauses, TALK, lambda _: True, limit)
        try:
            sample = await running.sample("load", rate, TALK, calling, {})
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
        height = [bytes_ for at, bytes_ in looks if length < at - begun < seconds]
        complaints = complaints_in(running.side.settings)
        queue = longest_queue(await running.side.cli("core show taskprocessors"))
    for complaint in complaints[:10]:
        say(f"  {complaint}")
    more = {f"growth of {name}": height[-1][name] - height[0][name] for name in sample.memory}
    more |= {"complaints": len(complaints), "longest queue in the switch": queue}
    sample = replace(sample, more=more)
    keep([sample])
    return sample


class _AskedForPacketTime(Product):
    """Ours, with a switch that packs as many frames into a packet as a telephone asks for."""

    def plan(self, settings: Settings, around: Surroundings) -> Plan:
        plan = super().plan(settings, around)
        stages = [[self._asked(member) for member in stage] for stage in plan.stages]
        return replace(plan, stages=stages)

    def _asked(self, member: Part | Step) -> Part | Step:
        if isinstance(member, Part) and member.name == "asterisk":
            return replace(member, prepare=self._let_them_ask)
        return member

    async def _let_them_ask(self) -> None:
        rendered = self.settings.asterisk_folder / "etc" / "pjsip.conf"
        asked = "type = endpoint\nuse_ptime = yes"
        rendered.write_text(rendered.read_text().replace("type = endpoint", asked))


async def _look(running: Rig, looks: Looks, say: Say) -> None:
    while True:
        await asyncio.sleep(EVERY)
        looks.append((time.monotonic(), running.memory()))
        legs = running.consultants.legs
        talking = sum(leg.ended_at is None for leg in legs)
        megabytes = ", ".join(f"{name} {size / 1e6:.0f}" for name, size in looks[-1][1].items())
        say(f"  {len(legs)} consultants rung, {talking} in conversation; MB: {megabytes}")


def complaints_in(settings: Settings) -> list[str]:
    """What the logs of our processes and of the switch complain of, each line with its file."""
    files = [
        *sorted((settings.var / "log").glob("*.log")),
        settings.asterisk_folder / "log/messages.log",
    ]
    return [
        f"{file.name}: {line}"
        for file in files
        for line in file.read_text(errors="replace").splitlines()
        if COMPLAINT.search(line)
    ]


def longest_queue(shown: str) -> int:
    """The most that ever waited in a task processor: an event is dropped by nothing else.

    From `core show taskprocessors`: name, processed, in queue, max depth, low and high water.
    """
    found = re.findall(r"^\S+\s+\d+\s+\d+\s+(\d+)\s+\d+\s+\d+", shown, re.MULTILINE)
    return max(map(int, found), default=0)


def shown(sample: Sample) -> str:
    """The table."""
    faults = ", ".join(f"{count} {fault}" for fault, count in sample.faults.items()) or "none"
    rows = [
        ("what", f"{sample.calls} calls, {sample.rate:.1f}/s"),
        ("calls that failed", faults),
        ("recordings missing", str(sample.missing)),
        ("recordings of another length", str(sample.off)),
        ("longest difference", f"{sample.difference.worst:.0f} ms"),
        ("INVITE to 200, p50/p95", f"{sample.answer.p50:.1f} / {sample.answer.p95:.1f} ms"),
        ("key to INVITE, p50/p95", f"{sample.ring.p50:.1f} / {sample.ring.p95:.1f} ms"),
    ]
    for name, value in sample.more.items():
        grows = name.startswith("growth")
        rows.append((name, f"{value / 1e6:+.1f} MB" if grows else f"{value:g}"))
    return table(rows)
