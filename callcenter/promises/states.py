"""What is owed to a caller who did not wait, and what can become of it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum


class Kind(StrEnum):
    """What was promised."""

    CALLBACK = "callback"  #: to call the number
    MESSAGE = "message"  #: to hear the recording that has the promise's own id


class State(StrEnum):
    """A promise is open, and ends once."""

    OPEN = "open"  #: it is to be kept, now or when its next attempt is due
    KEPT = "kept"  #: caller and consultant heard each other
    DONE = "done"  #: a consultant heard the message, and said that it is done
    EMPTY = "empty"  #: nothing was said in the message
    SERVED = "served"  #: the caller rang again first, and talked with a consultant
    REPLACED = "replaced"  #: the same number asked again later
    DECLINED = "declined"  #: whoever picked up did not want the call
    UNREACHED = "unreached"  #: nobody confirmed the call in any attempt
    BLOCKED = "blocked"  #: calls with this number are not wanted for a time
    CLOSED = "closed"  #: a supervisor ended it


OVERDUE = timedelta(minutes=30)  #: that an attempt is due before a supervisor should look


def is_overdue(due_at: datetime, now: datetime) -> bool:
    """Whether an attempt that was due then has not been made for too long."""
    return now - due_at > OVERDUE


def pause_after(attempt: int, pauses: Sequence[float]) -> timedelta | None:
    """How long after the beginning of this attempt (from 1) the next is due; None: it is the last.

    `pauses` are in seconds.
    """
    return timedelta(seconds=pauses[attempt - 1]) if attempt <= len(pauses) else None
