"""A clock that is set apart from the real one: of processes started with its environment alone."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

PRELOADED = "LD_PRELOAD"


class ClockMissing(Exception):
    """libfaketime is not installed."""


class Clock:
    """By libfaketime. What waits for seconds to pass is not touched, as on a real machine."""

    def __init__(self, folder: Path) -> None:
        """Raises ClockMissing."""
        found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
        if not found:
            raise ClockMissing("libfaketime is not installed: run scripts/setup")
        self._library = found[0]
        self._file = folder / "clock"
        self.set(0)

    def set(self, seconds: int) -> None:
        """So far from the real time is the clock from now on."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+d}s\n")
        new.replace(self._file)

    @property
    def environment(self) -> Mapping[str, str]:
        return {
            PRELOADED: str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }


def real_time() -> Mapping[str, str]:
    """The environment without a clock: for Redis, since both have a say in how memory is got."""
    return {name: value for name, value in os.environ.items() if name != PRELOADED}


async def set_clock_of_distributor(redis: Redis, seconds: int) -> None:
    """All that the distributor has put down is as if the clock of Redis had been set just now."""
    scores = ("leases", "asked", "wrap_up", "gone", "pages", "controllers", "idle")
    async with redis.pipeline(transaction=True) as together:  # no heartbeat sees half of it
        for key in (f"desk:{each}" for each in scores):
            existing: Any = await redis.zrange(key, 0, -1, withscores=True)
            for member, score in existing:
                together.zadd(key, {member: score - seconds}, xx=True)
        looked = float(str(await redis.get("desk:clock")))
        together.set("desk:clock", f"{looked - seconds:.6f}")
        await together.execute()
