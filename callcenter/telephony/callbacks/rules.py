"""States of callbacks and voicemail, and the times of their attempts."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from callcenter.appeals.contact.rules import ContactMeans
from callcenter.appeals.contact.ways import WayOut
from callcenter.platform.core.errors import N_


class CallbackKind(StrEnum):
    """A callback, or a voicemail."""

    CALLBACK = "callback"  #: the number is to be called
    MESSAGE = "message"  #: the recording of the same id is to be heard


class CallbackState(StrEnum):
    """The state of a callback or voicemail: open, or one of the ends."""

    OPEN = "open"  #: an attempt is due, now or later
    REACHED = "kept"  #: caller and consultant talked
    DONE = "done"  #: a consultant heard the message, and marked it as done
    EMPTY = "empty"  #: nothing was said in the message
    SERVED = "served"  #: the caller rang again first, and talked with a consultant
    REPLACED = "replaced"  #: a later request for the same number
    DECLINED = "declined"  #: the called person declined the call
    UNREACHED = "unreached"  #: nobody confirmed the call in any attempt
    BLOCKED = "blocked"  #: the number is on the blocklist
    UNWANTED = "unwanted"  #: the person asked later not to be called
    CLOSED = "closed"  #: a supervisor closed it


#: A call that a caller requested; one after a voicemail is a consultant's (`outbound`).
CALLBACK_WAY = WayOut(
    "callback",
    ContactMeans.CALL,
    N_("This person asked not to be called. A senior may decide otherwise, with a reason."),
)

OVERDUE_AFTER = timedelta(minutes=30)  #: supervisors are alerted when an attempt is due for longer


def is_overdue(due_at: datetime, now: datetime) -> bool:
    """True if an attempt that was due then is not made for too long."""
    return now - due_at > OVERDUE_AFTER


def pause_after(attempt: int, pauses: Sequence[float]) -> timedelta | None:
    """The time from this attempt (from 1) to the next one; None: it is the last.

    `pauses` are in seconds.
    """
    return timedelta(seconds=pauses[attempt - 1]) if attempt <= len(pauses) else None
