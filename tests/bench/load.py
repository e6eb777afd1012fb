"""Hundreds of conversations at once for minutes, with new ones coming: is anything lost, and does
anything grow?
"""

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from callcenter.platform.core.settings import Settings
from tests.bench.packets import sides_with
from tests.bench.results import Sample, table
from tests.bench.rig import Rig, rig
from tests.bench.sides import Stock
from tests.bench.telephones import SECOND_KEY

TALK = 60.0  # seconds from key to hang-up
OVER = 45.0  # seconds after the last call should have ended, after which it is given up
EVERY = 15.0  # seconds between two looks at the memory
COMPLAINT = re.compile(r"\b(WARNING|ERROR|CRITICAL)\b")

Say = Callable[[str], None]
Looks = list[tuple[float, dict[str, float]]]  # when, and bytes by process


async def load(
    name: str,
    at_once: int,
    minutes: float,
    talk: float,
    frames: int,
    built: Path,
    say: Say,
    keep: Callable[[Sequence[Sample]], None],
) -> Sample:
    """So many calls of this side at once, for so long after the first of them has ended.

    Each packet of sound, of telephones and of the switch, has so many frames of 20 ms.
    """
    length = SECOND_KEY + talk
    rate = at_once / length
    seconds = length + minutes * 60
    async with rig(sides_with(frames)[name], Stock(at_once + 20), built, frames) as running:
        begun = time.monotonic()
        looks: Looks = []
        looking = asyncio.create_task(_look(running, looks, say))
        pauses = iter([1 / rate] * round(rate * seconds))
        limit = seconds + length + OVER
        calling = running.load(pauses, talk, lambda _: True, limit)
        try:
            sample = await running.sample("load", rate, talk, calling, {})
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
        ("recordings of another length; of them shorter", f"{sample.off}; {sample.short}"),
        ("longest difference", f"{sample.difference.worst:.0f} ms"),
        ("INVITE to 200, p50/p95", f"{sample.answer.p50:.1f} / {sample.answer.p95:.1f} ms"),
        ("key to INVITE, p50/p95", f"{sample.ring.p50:.1f} / {sample.ring.p95:.1f} ms"),
    ]
    for name, value in sample.more.items():
        grows = name.startswith("growth")
        rows.append((name, f"{value / 1e6:+.1f} MB" if grows else f"{value:g}"))
    return table(rows)
