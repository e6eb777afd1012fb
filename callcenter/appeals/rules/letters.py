"""Letters and requests about an appeal, incoming and outgoing.

With applicants, state bodies and others (R4, R5, R6, R15); an answer that is wanted has its day
(R21: what a body found, and did first).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from uuid import UUID

from callcenter.platform.core.errors import N_, InvalidRequest
from callcenter.platform.core.working_calendar import Calendar

EARLIEST = date(2000, 1, 1)
LENGTH_LIMITS = {"number": 100, "whom": 300, "about": 2000}  # characters
#: Personal data: encrypted, and erased with other personal data.
SEALED = frozenset({"whom", "about"})

NO_WORDS = N_(
    "a letter has its number, with whom and what it is about: number and name in one line"
)
NOT_DATED = N_("a letter has the day that stands on it, which is not in the future")
NOT_DUE = N_("the answer must be due after the date of the letter")
NOT_ANSWERED = N_("a letter answers one of this appeal that went the other way")


class Direction(StrEnum):
    """The direction of a letter."""

    IN = "in"
    OUT = "out"


class LetterKind(StrEnum):
    """The kind of a letter; an answer is one that names what it answers."""

    LETTER = "letter"
    REQUEST = "request"  #: запрос, сұрау салу: asks for something that is needed for the appeal


class LetterParty(StrEnum):
    """The other party of a letter."""

    APPLICANT = "applicant"
    STATE_BODY = "state_body"
    AUTHORITY = "authority"  #: the authorised body in informatization
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter or request; `whom` and `about` are personal data, empty once erased.

    `answers` is the letter that it answers, `scan` a file of the same appeal.
    """

    direction: Direction
    kind: LetterKind
    party: LetterParty
    number: str
    dated: date
    whom: str = ""
    about: str = ""
    answer_due_on: date | None = None
    answers: UUID | None = None
    scan: UUID | None = None

    @property
    def values(self) -> dict[str, str]:
        """Its values by field, without empty ones; days in ISO 8601."""
        said = {name: getattr(self, name) for name in self.__slots__}
        return {name: str(value) for name, value in said.items() if value}


def normalize_letter(letter: Letter, today: date, calendar: Calendar) -> Letter:
    """Validate a letter; its answer is due on a working day.

    Raises InvalidRequest, YearNotEntered.
    """
    texts = {name: getattr(letter, name).strip() for name in LENGTH_LIMITS}
    for name, text in texts.items():
        plain = text.replace("\r", "").replace("\n", "") if name == "about" else text
        if not text or len(text) > LENGTH_LIMITS[name] or not plain.isprintable():
            raise InvalidRequest(NO_WORDS)
    if not EARLIEST <= letter.dated <= today:
        raise InvalidRequest(NOT_DATED)
    due = letter.answer_due_on
    if due is not None:
        due = calendar.working_from(due)
        if due <= letter.dated:
            raise InvalidRequest(NOT_DUE)
    return replace(letter, **texts, answer_due_on=due)


def check_answers(identity: UUID, letter: Letter, others: Mapping[UUID, Letter]) -> None:
    """Check the letter that a letter answers; `others` are letters of the same appeal.

    Raises InvalidRequest, also when it is answered itself by one that went the same way.
    """
    answered = [others.get(letter.answers)] if letter.answers else []
    answering = [each for each in others.values() if each.answers == identity]
    for other in [*answered, *answering]:
        if other is None or other.direction is letter.direction or letter.answers == identity:
            raise InvalidRequest(NOT_ANSWERED)
