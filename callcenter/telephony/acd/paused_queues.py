"""Queues paused by a supervisor: their names, limits and stored form."""

from collections.abc import Mapping
from dataclasses import dataclass

from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.languages import CALLER_LANGUAGES

ALL = "all"
QUEUES = (*CALLER_LANGUAGES, ALL)
SHORTEST_PAUSE, LONGEST_PAUSE = 1.0, 3600.0  # seconds


@dataclass(frozen=True, slots=True)
class QueuePause:
    """A paused queue: until when (epoch seconds), by whom (`user:NAME`) and why."""

    queue: str
    until: float
    by: str
    reason: str


def read_pauses(entries: Mapping[str, str], now: float) -> list[QueuePause]:
    """Parse the stored pauses; returns those in force at `now`."""
    split = [(queue, *entry.split(" ", 2)) for queue, entry in sorted(entries.items())]
    pauses = [QueuePause(queue, float(until), by, reason) for queue, until, by, reason in split]
    return [pause for pause in pauses if pause.until > now]


def check_queue(queue: str) -> None:
    """Raise InvalidRequest for an unknown queue."""
    if queue not in QUEUES:
        raise InvalidRequest(f"there is no queue {queue!r}: use one of {', '.join(QUEUES)}")


def check_pause(queue: str, seconds: float) -> None:
    """Raise InvalidRequest for an unknown queue or a time out of range."""
    check_queue(queue)
    if not SHORTEST_PAUSE <= seconds <= LONGEST_PAUSE:
        raise InvalidRequest(
            f"a queue is held back for {SHORTEST_PAUSE:g} to {LONGEST_PAUSE:g} seconds"
        )
