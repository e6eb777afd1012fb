"""Beats: what a process does again and again it does at the same moments, in one wake-up.

Idle, a process wakes for its timers alone. Ten timers of a second that each began when it pleased
are ten wake-ups a second; on common beats they are one.
"""

import asyncio
import random
import time

#: Seconds. Processes of one machine do not beat together: each has the processor for itself.
_PHASE = random.random()  # noqa: S311 no secret
_LEAST = 0.1  # of the interval: a pause that is shorter would be the same beat once more


def next_beat(interval: float) -> float:
    """The moment (monotonic) of the next beat, of those that are `interval` seconds apart.

    Beats of intervals that are multiples of each other fall together.
    """
    now = time.monotonic()
    pause = interval - (now - _PHASE) % interval
    return now + (pause if pause > _LEAST * interval else pause + interval)


async def until_beat(interval: float) -> None:
    """Sleep until the next beat: at most a little longer than `interval` seconds."""
    await asyncio.sleep(next_beat(interval) - time.monotonic())
