"""The days within which appeals are looked for, one stretch after the other, the newest first."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta

DAYS_FROM = date(2000, 1, 1)  # on which days are counted from
BLOCK = 16  # days, which `tables.DAYS` has as one key too
BLOCKS = (1, 2, 4)  # of which stretches are, after the single days


def stretches(last: datetime) -> Iterator[tuple[Sequence[int] | None, datetime | None]]:
    """Stretches as keys of `tables.DAYS`, that of `last` first, each with the end of its last day.

    The end is exclusive, and None for the first one. The last one has no keys: all before.
    """
    newest = (last.astimezone(UTC).date() - DAYS_FROM).days
    block = newest // BLOCK
    begin = max(block * BLOCK, newest - 1)
    yield range(begin, newest + 1), None
    if begin > block * BLOCK:
        yield range(block * BLOCK, begin), _midnight(begin)
    for length in BLOCKS:
        yield range(-block, length - block), _midnight(block * BLOCK)
        block -= length
    yield None, _midnight(block * BLOCK)


def _midnight(day: int) -> datetime:
    return datetime.combine(DAYS_FROM + timedelta(days=day), time(), UTC)
