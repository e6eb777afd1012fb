"""Rules of the blocklist: durations and reasons, and whether a number is blocked."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from callcenter.platform.core.errors import InvalidRequest

LONGEST = timedelta(days=30)  #: a longer block has to be renewed by a person
PERIODS = (1, 6, 24, 72, 168, 720)  #: hours offered on the page


class BlockReason(StrEnum):
    """The reason of a block."""

    INSULTS = "insults"
    THREATS = "threats"
    PRANKS = "pranks"
    MACHINE = "machine"  #: a dialling machine, advertising


def check_hours(hours: int) -> timedelta:
    """The length of a block. Raises InvalidRequest unless it is from an hour to thirty days."""
    if not 1 <= hours <= LONGEST / timedelta(hours=1):
        raise InvalidRequest("a number is blocked for 1 to 720 hours")
    return timedelta(hours=hours)


def is_blocked(blocked: Mapping[str, datetime], number: str | None, now: datetime) -> bool:
    """True if a call from this number is blocked now; `blocked` has the ends by number."""
    until = blocked.get(number) if number is not None else None
    return until is not None and now < until
