"""Queues that are held back for a time: which there are, and for how long at most."""

from collections.abc import Mapping
from dataclasses import dataclass

from callcenter.consultants.accounts import LANGUAGES
from callcenter.errors import AskedWrongly

ALL = "all"
QUEUES = (*LANGUAGES, ALL)
SHORTEST, LONGEST = 1.0, 3600.0  # seconds for which a queue may be held back


@dataclass(frozen=True, slots=True)
class Hold:
    """A queue that is held back: until when (epoch seconds), by whom (`user:NAME`) and why."""

    queue: str
    until: float
    by: str
    reason: str


def read_holds(entries: Mapping[str, str], now: float) -> list[Hold]:
    """The holds in force at this moment, from what the desk keeps."""
    split = [(queue, *entry.split(" ", 2)) for queue, entry in sorted(entries.items())]
    holds = [Hold(queue, float(until), by, reason) for queue, until, by, reason in split]
    return [hold for hold in holds if hold.until > now]


def check_queue(queue: str) -> None:
    """Raises AskedWrongly for a queue that there is not."""
    if queue not in QUEUES:
        raise AskedWrongly(f"there is no queue {queue!r}: use one of {', '.join(QUEUES)}")


def check_hold(queue: str, seconds: float) -> None:
    """Raises AskedWrongly for a queue or a time that there is not."""
    check_queue(queue)
    if not SHORTEST <= seconds <= LONGEST:
        raise AskedWrongly(f"a queue is held back for {SHORTEST:g} to {LONGEST:g} seconds")
