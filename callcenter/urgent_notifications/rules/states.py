"""States of an urgent notification of a state body, its legal moves, and what each needs.

It begins with one press, which calls the body's number on duty (R10, R11). Once a person of the
body has taken it, it is asked for until it is known whether the one in danger was reached (R21).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from callcenter.platform.core.errors import N_, InvalidRequest

REASON_LIMIT = 2000  # characters
LINE_LIMIT = 200  # characters of a name, or of a post

NOT_NOW = N_("This cannot be noted of the notification as it is now: look at it again.")
NO_PERSON = N_("enter the name and the post of the person who took it, each in one line")
NO_REASON = N_("say how it is known, and what is done next: in up to 2000 characters")


class NotificationState(StrEnum):
    """The state of an urgent notification. The names are stored."""

    CALLING = "calling"  #: nobody of the body has taken it yet
    TAKEN = "taken"  #: a person of the body took it: the last mile is open
    REACHED = "reached"  #: the body reached the person in danger
    NOT_REACHED = "not_reached"  #: it did not, and the next step is known
    DECLINED = "declined"  #: the person in danger declined the help
    WITHDRAWN = "withdrawn"  #: it was begun by mistake or twice, or another body took it


class NotificationStep(StrEnum):
    """A step of an urgent notification, in the past tense: a row with author and time."""

    BEGUN = "begun"
    CALLED = "called"  #: a call was ordered: its number, and further ones when nobody answers
    NOT_TAKEN = "not_taken"  #: whoever answered did not take it, or nobody answered
    ESCALATED = "escalated"  #: by the clock, one level each
    TAKEN = "taken"
    REACHED = "reached"
    NOT_REACHED = "not_reached"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"
    JOINED = "joined"  #: its appeal was, to one of which the same body is notified already


#: Of a press: by their number a later one knows whether the form before it is of now.
ATTEMPTS = (NotificationStep.CALLED, NotificationStep.NOT_TAKEN)
OPEN = (NotificationState.CALLING, NotificationState.TAKEN)
#: Ends of the last mile.
RESULTS = (NotificationStep.REACHED, NotificationStep.NOT_REACHED, NotificationStep.DECLINED)
_CALLING, _TAKEN = OPEN
_MOVES = {
    **{
        (step, _CALLING): _CALLING
        for step in (
            NotificationStep.CALLED,
            NotificationStep.NOT_TAKEN,
            NotificationStep.ESCALATED,
        )
    },
    (NotificationStep.TAKEN, _CALLING): _TAKEN,
    **{(step, _TAKEN): NotificationState(step.value) for step in RESULTS},
    (NotificationStep.CALLED, _TAKEN): _TAKEN,  # the body is asked whether it reached the person
    (NotificationStep.JOINED, _CALLING): NotificationState.WITHDRAWN,
    **{(NotificationStep.WITHDRAWN, each): NotificationState.WITHDRAWN for each in OPEN},
}


class IllegalNotificationStep(InvalidRequest):
    """This cannot be done with the notification in its state."""


@dataclass(frozen=True, slots=True)
class NotificationFacts:
    """Facts of a step: why, or what is done next; name and post of the person who took it."""

    reason: str = ""
    name: str = ""
    post: str = ""


def move_notification(state: NotificationState, step: NotificationStep) -> NotificationState:
    """The state after a step. Raises IllegalNotificationStep."""
    after = _MOVES.get((step, state))
    if after is None:
        raise IllegalNotificationStep(NOT_NOW)
    return after


def check_facts(step: NotificationStep, facts: NotificationFacts) -> NotificationFacts:
    """The facts of a step, trimmed. Raises InvalidRequest.

    Who took it has a name and a post. An end says how it is known; that somebody did not take it
    may have no reason: another is called meanwhile.
    """
    reason = facts.reason.strip().replace("\r\n", "\n")
    plain = reason.replace("\n", "")
    is_optional = step in (NotificationStep.TAKEN, NotificationStep.NOT_TAKEN)
    if len(reason) > REASON_LIMIT or not (plain.isprintable() and (plain or is_optional)):
        raise InvalidRequest(NO_REASON)
    if step is not NotificationStep.TAKEN:
        return NotificationFacts(reason)
    name, post = facts.name.strip(), facts.post.strip()
    if not all(0 < len(each) <= LINE_LIMIT and each.isprintable() for each in (name, post)):
        raise InvalidRequest(NO_PERSON)
    return NotificationFacts(reason, name, post)


def count_levels(begun_at: datetime, now: datetime, limits: Sequence[float]) -> int:
    """Count the levels of escalation that are due of one that nobody took; limits in seconds."""
    waited = now - begun_at
    return sum(waited >= timedelta(seconds=each) for each in limits)
