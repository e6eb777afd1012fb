"""Letters and requests about an appeal, as they went out and came in: what each of them says.

With applicants, state bodies and others (R4, R5, R6, R15); an answer that is wanted has its day
(R21: what a body found, and did first).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from uuid import UUID

from callcenter.errors import N_, AskedWrongly
from callcenter.workdays.calendar import Calendar, YearNotEntered

EARLIEST = date(2000, 1, 1)
LONGEST = {"number": 100, "whom": 300, "about": 2000}  # characters
#: What tells of people: kept encrypted, and erased with other personal data.
SEALED = frozenset({"whom", "about"})

NO_WORDS = N_(
    "a letter has its number, with whom and what it is about: number and name in one line"
)
NOT_DATED = N_("a letter has the day that stands on it, which is not in the future")
NOT_DUE = N_("an answer is wanted until a day after that of the letter, this year or the next")
NOT_ANSWERED = N_("a letter answers one of this appeal that went the other way")


class Direction(StrEnum):
    """Which way it went."""

    IN = "in"
    OUT = "out"


class Kind(StrEnum):
    """What it is; an answer is whatever says so of itself."""

    LETTER = "letter"
    REQUEST = "request"  #: запрос, сұрау салу: asks for something that is needed for the appeal


class Party(StrEnum):
    """With whom."""

    APPLICANT = "applicant"
    STATE_BODY = "state_body"
    AUTHORITY = "authority"  #: the authorised body in informatization
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter or request. `whom` and `about` are personal data, and empty once they are erased.

    `answers` is the letter that it answers, `scan` a file of the same appeal.
    """

    direction: Direction
    kind: Kind
    party: Party
    number: str
    dated: date
    whom: str = ""
    about: str = ""
    answer_due_on: date | None = None
    answers: UUID | None = None
    scan: UUID | None = None

    @property
    def values(self) -> dict[str, str]:
        """What it says, by field, without what is empty: days by ISO 8601."""
        said = {name: getattr(self, name) for name in self.__slots__}
        return {name: str(value) for name, value in said.items() if value}


def checked(letter: Letter, today: date, calendar: Calendar) -> Letter:
    """The letter as it is kept: an answer is due on a working day. Raises AskedWrongly."""
    texts = {name: getattr(letter, name).strip() for name in LONGEST}
    for name, text in texts.items():
        plain = text.replace("\r", "").replace("\n", "") if name == "about" else text
        if not text or len(text) > LONGEST[name] or not plain.isprintable():
            raise AskedWrongly(NO_WORDS)
    if not EARLIEST <= letter.dated <= today:
        raise AskedWrongly(NOT_DATED)
    due = letter.answer_due_on
    if due is not None:
        try:
            due = calendar.working_from(due)
        except YearNotEntered:
            raise AskedWrongly(NOT_DUE) from None
        if due <= letter.dated:
            raise AskedWrongly(NOT_DUE)
    return replace(letter, **texts, answer_due_on=due)


def check_answers(identity: UUID, letter: Letter, others: Mapping[UUID, Letter]) -> None:
    """Whether it may answer what it says it does; `others` are those of the same appeal.

    Raises AskedWrongly, also when it is answered itself by one that went the same way.
    """
    answered = [others.get(letter.answers)] if letter.answers else []
    answering = [each for each in others.values() if each.answers == identity]
    for other in [*answered, *answering]:
        if other is None or other.direction is letter.direction or letter.answers == identity:
            raise AskedWrongly(NOT_ANSWERED)
