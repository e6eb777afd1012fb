"""Calls beside a backup: is any lost, and what does each cost? `python -m tests.bench backups`.

The same site is measured in turn without a backup and with one after another, so that there is one
at every moment of the calls; every night has one in all.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pydantic import SecretStr
from pyrage import x25519

from callcenter.backup.place import list_backups, open_place
from callcenter.launcher.process_plan import ours
from callcenter.launcher.supervisor import environment
from callcenter.platform.core.errors import OperationFailed
from callcenter.platform.core.settings import Settings
from tests.bench.compare import line
from tests.bench.results import Middle, Sample, table
from tests.bench.rig import Rig, rig
from tests.bench.sides import Product, Stock
from tests.bench.telephones import SECOND_KEY
from tests.services import changed

SPARE = 50  # consultants more than talk at once
WITHOUT, WITH = "no backup", "backup"
CALLS = ("asterisk", "line")  # what a call itself costs
SERVERS = ("postgres", "redis", "worker")

Say = Callable[[str], None]
Figure = Callable[[Sample], float]


@dataclass
class _Backups:
    """What was made beside a measurement."""

    count: int = 0
    seconds: float = 0.0  #: that one took, the longest
    cpu: float = 0.0  #: seconds of the command and of its programs, PostgreSQL's server aside


async def compare_with_backups(
    rounds: int,
    rate: float,
    seconds: float,
    talk: float,
    appeals: int,
    built: Path,
    say: Say,
    keep: Callable[[Sequence[Sample]], None],
) -> list[Sample]:
    """A sample without and one with backups in each round, of one site with so many appeals.

    Raises OperationFailed when a backup fails.
    """
    sides: list[Product] = []

    def make(folder: Path, prompts: Path, stock: Stock) -> Product:
        sides.append(Product(folder, prompts, stock))
        return sides[0]

    samples: list[Sample] = []
    at_once = round(min(rate * (talk + SECOND_KEY), rate * seconds))
    async with rig(make, Stock(at_once + SPARE, appeals), built) as running:
        await running.lanes(5, 2, 1.0)  # the first calls of a process find nothing warm
        settings = _with_backups(sides[0].settings)
        await _back_up(settings)  # nor does the first backup
        for number in range(rounds):
            order = (WITHOUT, WITH) if number % 2 == 0 else (WITH, WITHOUT)
            for kind in order:
                samples.append(await _measure(running, settings, kind, rate, seconds, talk))
                say(line(samples[-1]))
                keep(samples)
    return samples


def _with_backups(settings: Settings) -> Settings:
    """The settings of the command alone: what it does to the site is the same."""
    public = str(x25519.Identity.generate().to_public())
    place = SecretStr(str(settings.var / "copies"))
    return changed(settings, backups=place, recovery_keys=(public,))


async def _measure(
    running: Rig, settings: Settings, kind: str, rate: float, seconds: float, talk: float
) -> Sample:
    if kind == WITHOUT:
        return await running.measure(kind, rate, seconds, talk)
    async with _backups_beside(settings) as beside:
        sample = await running.measure(kind, rate, seconds, talk)
    more = {"backups": beside.count, "seconds": beside.seconds, "cpu": beside.cpu}
    return replace(sample, more=more)


@asynccontextmanager
async def _backups_beside(settings: Settings) -> AsyncIterator[_Backups]:
    """One backup after another within the block; the last one is made to its end."""
    made, over, before = _Backups(), asyncio.Event(), os.times()

    async def make_all() -> None:
        while not over.is_set():
            begun = time.monotonic()
            await _back_up(settings)
            made.count += 1
            made.seconds = max(made.seconds, time.monotonic() - begun)

    making = asyncio.create_task(make_all())
    try:
        yield made
    finally:
        over.set()
        await making
    after = os.times()  # of children that have ended: only these have, meanwhile
    made.cpu = sum(after[2:4]) - sum(before[2:4])


async def _back_up(settings: Settings) -> None:
    """One backup, as a timer begins it. Raises OperationFailed."""
    command = await asyncio.create_subprocess_exec(
        *("nice", *ours("backup")),
        env=environment(settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await command.communicate()
    if command.returncode != 0:
        raise OperationFailed(f"the backup failed: {output.decode()}")
    place = open_place(settings)
    for each in list_backups(place)[:-1]:  # it would be a disk full of them
        place.remove(each.name)


def shown(samples: Sequence[Sample]) -> str:
    """CPU a call by process, without and with backups, their ratio, and what was lost."""
    without, beside = ([each for each in samples if each.kind == kind] for kind in (WITHOUT, WITH))
    rows: list[tuple[str, ...]] = [("median (least-most)", WITHOUT, WITH, "ratio")]
    figures: list[tuple[str, Figure]] = [
        (f"CPU ms a call, {' and '.join(CALLS)}", cost_of_calls),
        *((f"CPU ms a call, {name}", partial(_cost_of, name)) for name in (*CALLS, *SERVERS)),
        ("answer p95, ms", lambda sample: sample.answer.p95),
        ("ring p95, ms", lambda sample: sample.ring.p95),
    ]
    for name, figure in figures:
        one, other = (Middle.of(map(figure, each)) for each in (without, beside))
        ratio = f"{other.median / one.median:.2f}" if one.median else ""
        rows.append((name, one.text(), other.text(), ratio))
    counts: list[tuple[str, Figure]] = [
        ("calls", lambda sample: sample.calls),
        ("of them failed, or without an appeal", lambda sample: sample.failed),
        ("recordings missing", lambda sample: sample.missing),
        ("recordings shorter by over 100 ms", lambda sample: sample.short),
    ]
    for name, count in counts:
        one_sum, other_sum = (sum(map(count, each)) for each in (without, beside))
        rows.append((name, f"{one_sum:g}", f"{other_sum:g}", ""))
    made = sum(each.more["backups"] for each in beside)
    seconds = max(each.more["seconds"] for each in beside)
    cpu = sum(each.more["cpu"] for each in beside) / made
    return (
        f"{table(rows)}\n{made:g} backups beside the calls, of {seconds:.1f} s at most and "
        f"{cpu:.1f} s of CPU each, the server's aside"
    )


def is_whole(samples: Sequence[Sample]) -> bool:
    """Whether no call failed, and each has its recording."""
    return not any(each.failed or each.missing for each in samples)


def cost_of_calls(sample: Sample) -> float:
    """Milliseconds of CPU a call of Asterisk and controllers."""
    return sum(sample.cpu[name] for name in CALLS)


def _cost_of(name: str, sample: Sample) -> float:
    return sample.cpu[name]
