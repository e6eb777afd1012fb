"""States of a request to a state body, its legal moves, and the facts that each needs.

A request that is waiting is ready: it leaves when the body works (R22), or at once when it is
urgent (`departure`). What the law calls late stays late: news of a body move it no further, its
answer does.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from callcenter.platform.core.errors import N_, InvalidRequest
from callcenter.platform.core.working_calendar import DAY, Calendar

REASON_LIMIT = 2000  # characters
NUMBER_LIMIT = 100  # characters
VERY_LATE_AFTER = 5  # working days after the last day of an answer

NOT_NOW = N_("This cannot be done with the request as it is now: look at it again.")
NO_REASON = N_("say how it is known, and what was said: in up to 2000 characters")
NO_PROOF = N_("enter the number that the body gave it, in one line, and its day, up to today")
NO_OTHER_BODY = N_("name the body that is competent, another one of the directory")


class RequestState(StrEnum):
    """The state of a request. The names are stored."""

    DRAFTED = "drafted"  #: composed, and shown to nobody outside
    WAITING = "waiting"  #: ready; for the hours of the body, or to be handed over by hand
    SENT = "sent"  #: it left, and the term of the answer runs
    DELIVERED = "delivered"  #: it has arrived there
    SEEN = "seen"  #: somebody there has opened it
    ACCEPTED = "accepted"  #: the body is competent, and works on it
    REFUSED = "refused"  #: the body is not competent, and says which one is
    FIRST_MEASURES = "first_measures"  #: what it found and did first is known (R21)
    ANSWERED = "answered"
    OVERDUE = "overdue"  #: the last day of the answer is over
    VERY_OVERDUE = "very_overdue"  #: some working days more
    WITHDRAWN = "withdrawn"  #: the center does not want it any more


class RequestStep(StrEnum):
    """A step of a request, in the past tense: a row with author, time and reason."""

    READIED = "readied"  #: text and files are as they leave
    NOTIFIED = "notified"  #: the applicant: which body has it, with its number (APPC, 65(1); R22)
    NOT_NOTIFIED = "not_notified"  #: somebody tried, or it is not possible now: it is owed still
    RETURNED = "returned"  #: to be composed again: nothing of it left
    SENT = "sent"
    DELIVERED = "delivered"
    SEEN = "seen"
    ACCEPTED = "accepted"
    FIRST_MEASURES = "first_measures"
    ANSWERED = "answered"
    REFUSED = "refused"
    OVERDUE = "overdue"
    VERY_OVERDUE = "very_overdue"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class RequestMove:
    """A legal move of a request: where the step leads to from a state."""

    step: RequestStep
    before: RequestState
    after: RequestState


#: In the order of their progress: a body may leave some out, and goes back to none.
PROGRESS = (
    RequestState.SENT,
    RequestState.DELIVERED,
    RequestState.SEEN,
    RequestState.ACCEPTED,
    RequestState.FIRST_MEASURES,
)
LATE = (RequestState.OVERDUE, RequestState.VERY_OVERDUE)
#: With the body: the term of its answer runs, or is over.
WITH_BODY = (*PROGRESS, *LATE)
#: Nothing has left.
AT_THE_CENTER = (RequestState.DRAFTED, RequestState.WAITING)
_ENDED = (RequestState.ANSWERED, RequestState.REFUSED, RequestState.WITHDRAWN)
ENDED = frozenset(_ENDED)
#: About what has left, whatever became of it since.
NOTICES = (RequestStep.NOTIFIED, RequestStep.NOT_NOTIFIED)
#: What a person notes of a body's news, which moves nothing that is late.
_NEWS = {
    RequestStep.DELIVERED: RequestState.DELIVERED,
    RequestStep.SEEN: RequestState.SEEN,
    RequestStep.ACCEPTED: RequestState.ACCEPTED,
    RequestStep.FIRST_MEASURES: RequestState.FIRST_MEASURES,
}
#: What the clock does, and nobody by hand.
OF_THE_CLOCK = frozenset({RequestStep.OVERDUE, RequestStep.VERY_OVERDUE})

MOVES: tuple[RequestMove, ...] = (
    RequestMove(RequestStep.READIED, RequestState.DRAFTED, RequestState.WAITING),
    RequestMove(RequestStep.RETURNED, RequestState.WAITING, RequestState.DRAFTED),
    RequestMove(RequestStep.SENT, RequestState.WAITING, RequestState.SENT),
    *(RequestMove(step, each, each) for step in NOTICES for each in (*WITH_BODY, *_ENDED)),
    *(
        RequestMove(step, before, after)
        for step, after in _NEWS.items()
        for before in PROGRESS[: PROGRESS.index(after)]
    ),
    RequestMove(
        RequestStep.FIRST_MEASURES, RequestState.FIRST_MEASURES, RequestState.FIRST_MEASURES
    ),
    *(RequestMove(step, late, late) for step in _NEWS for late in LATE),
    *(RequestMove(RequestStep.ANSWERED, each, RequestState.ANSWERED) for each in WITH_BODY),
    *(RequestMove(RequestStep.REFUSED, each, RequestState.REFUSED) for each in WITH_BODY),
    *(RequestMove(RequestStep.OVERDUE, each, RequestState.OVERDUE) for each in PROGRESS),
    RequestMove(RequestStep.VERY_OVERDUE, RequestState.OVERDUE, RequestState.VERY_OVERDUE),
    *(
        RequestMove(RequestStep.WITHDRAWN, each, RequestState.WITHDRAWN)
        for each in (*AT_THE_CENTER, *WITH_BODY)
    ),
)
_BY_STEP = {(move.step, move.before): move.after for move in MOVES}
#: Reasoned by what they are: the text that leaves, and the number of the body.
_PROVED = frozenset({RequestStep.READIED, RequestStep.SENT})


class IllegalRequestStep(InvalidRequest):
    """This cannot be done with the request in its state."""


@dataclass(frozen=True, slots=True)
class StepFacts:
    """Facts of a step: the reason, the proof that it left, the body that is competent."""

    reason: str = ""
    number: str = ""  #: that the body gave it
    dated: date | None = None  #: the day of that number
    competent: str = ""  #: the code of another body


def steps_from(state: RequestState) -> Iterable[RequestStep]:
    """The steps that a person may note of a request in this state, in their order."""
    return [move.step for move in MOVES if move.before is state and move.step not in OF_THE_CLOCK]


def move_request(state: RequestState, step: RequestStep) -> RequestState:
    """The state after a step. Raises IllegalRequestStep."""
    after = _BY_STEP.get((step, state))
    if after is None:
        raise IllegalRequestStep(NOT_NOW)
    return after


def check_facts(
    step: RequestStep, facts: StepFacts, body: str, begun_on: date, today: date
) -> StepFacts:
    """The facts of a step of a request to a body, trimmed. Raises InvalidRequest.

    What left has the body's number and its day, `begun_on` at the earliest; a refusal names another
    body that is competent.
    """
    reason = facts.reason.strip().replace("\r\n", "\n")
    plain = reason.replace("\n", "")
    if len(reason) > REASON_LIMIT or not (plain.isprintable() and (plain or step in _PROVED)):
        raise InvalidRequest(NO_REASON)
    if step is RequestStep.SENT:
        number = facts.number.strip()
        is_line = 0 < len(number) <= NUMBER_LIMIT and number.isprintable()
        if not is_line or facts.dated is None or not begun_on <= facts.dated <= today:
            raise InvalidRequest(NO_PROOF)
        return StepFacts(reason, number, facts.dated)
    if step is RequestStep.REFUSED:
        if facts.competent in ("", body):
            raise InvalidRequest(NO_OTHER_BODY)
        return StepFacts(reason, competent=facts.competent)
    return StepFacts(reason)


def late_step(
    state: RequestState, due_on: date, today: date, calendar: Calendar
) -> RequestStep | None:
    """The step of the clock that is due of a request, if any.

    Days of a year that is not entered in the calendar are not counted yet.
    """
    if state in PROGRESS and today > due_on:
        return RequestStep.OVERDUE
    if state is RequestState.OVERDUE:
        over = min(today, calendar.entered_until(due_on) + DAY) - due_on
        late = sum(calendar.is_working(due_on + DAY * each) for each in range(1, over.days))
        return RequestStep.VERY_OVERDUE if late >= VERY_LATE_AFTER else None
    return None
