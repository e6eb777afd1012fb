"""Idle: what all processes use while nobody calls, in CPU and in wake-ups."""

import asyncio
import time
from pathlib import Path

from tests.bench.results import table
from tests.bench.rig import rig
from tests.bench.sides import Product, Stock
from tests.bench.usage import run_seconds, wake_ups

CONSULTANTS = 5  # registered, free
SETTLES = 10.0  # seconds: what starting left to do


async def idle(seconds: float, built: Path) -> str:
    """A row for each process: milliseconds of CPU a second, wake-ups a second."""
    sides: list[Product] = []

    def make(folder: Path, prompts: Path, stock: Stock) -> Product:
        sides.append(Product(folder, prompts, stock))
        return sides[0]

    async with rig(make, Stock(CONSULTANTS), built):
        await asyncio.sleep(SETTLES)
        roots = sides[0].roots() | {"watchdog": sides[0].pid("watchdog")}
        begun, ran, woke = time.monotonic(), run_seconds(roots), wake_ups(roots)
        await asyncio.sleep(seconds)
        took, ran_then, woke_then = time.monotonic() - begun, run_seconds(roots), wake_ups(roots)
    used = {name: (ran_then[name] - ran[name]) * 1000 / took for name in roots}
    woken = {name: (woke_then[name] - woke[name]) / took for name in roots}
    rows: list[tuple[str, ...]] = [("process", "CPU ms a second", "wake-ups a second")]
    rows += [(name, f"{used[name]:.1f}", f"{woken[name]:.0f}") for name in roots]
    rows.append(("all", f"{sum(used.values()):.1f}", f"{sum(woken.values()):.0f}"))
    return table(rows)
