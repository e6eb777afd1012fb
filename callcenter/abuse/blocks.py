"""Which numbers may be blocked, for how long and why; and who is blocked now."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from callcenter.appeals.callers import read_caller
from callcenter.errors import AskedWrongly

LONGEST = timedelta(days=30)  #: a block is looked at again by a person before it goes on
PERIODS = (1, 6, 24, 72, 168, 720)  #: hours that are offered on the page


class Reason(StrEnum):
    """Why calls from a number are not taken for a time."""

    INSULTS = "insults"
    THREATS = "threats"
    PRANKS = "pranks"
    MACHINE = "machine"  #: a dialling machine, advertising


def check_number(written: str) -> str:
    """The number in E.164, as calls come from it.

    Raises AskedWrongly for what is no whole number, and for short numbers: those are services.
    """
    caller = read_caller(written)
    if caller.kind != "number" or caller.number is None:
        raise AskedWrongly("only a whole telephone number can be blocked, as in +7 701 234 56 67")
    return caller.number


def check_hours(hours: int) -> timedelta:
    """The length of a block. Raises AskedWrongly unless it is from an hour to thirty days."""
    if not 1 <= hours <= LONGEST / timedelta(hours=1):
        raise AskedWrongly("a number is blocked for 1 to 720 hours")
    return timedelta(hours=hours)


def is_blocked(blocked: Mapping[str, datetime], number: str | None, now: datetime) -> bool:
    """Whether a call from this number is not taken now; `blocked` says until when, by number."""
    until = blocked.get(number) if number is not None else None
    return until is not None and now < until
