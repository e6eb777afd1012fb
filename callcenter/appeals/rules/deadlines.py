"""Legal terms of appeals, with dates of validity, in working days or months.

Administrative Procedural and Process-Related Code (APPC) 350-VI: articles 64, 65, 76 and 99.
"""

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from callcenter.appeals.rules.states import AppealKind
from callcenter.platform.core.errors import InvalidRequest, OperationFailed
from callcenter.platform.core.working_calendar import OFFICE_HOURS, Calendar, Hours


class DeadlineKind(StrEnum):
    """The purpose of a term."""

    FORWARD = "forward"  #: to the competent body, with notice to the applicant
    DECIDE = "decide"  #: the answer
    COMPLAINT = "complaint"  #: the answer to a complaint; never extended
    EXTEND = "extend"  #: how far an answer may be put off, in months from the decision
    NOTICE = "notice"  #: to tell the applicant of it


class TermUnit(StrEnum):
    WORKING_DAYS = "working_days"
    MONTHS = "months"


@dataclass(frozen=True, slots=True)
class LegalTerm:
    """A term and its article; valid from one day to another, both included, or on."""

    clock: DeadlineKind
    length: int
    unit: TermUnit
    article: str
    valid_from: date
    valid_to: date | None = None


class NoTerm(OperationFailed):
    """The law's term for this day is not entered."""


class NotExtended(InvalidRequest):
    """This appeal's term cannot be extended."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """A last day (Asia/Almaty), with the article that sets it."""

    on: date
    article: str


@dataclass(frozen=True, slots=True)
class DeadlineRules:
    """The terms in force, and the calendar that they are counted by."""

    terms: Sequence[LegalTerm]
    calendar: Calendar

    def term(self, clock: DeadlineKind, on: date) -> LegalTerm:
        """The term that holds on a day. Raises NoTerm."""
        for term in self.terms:
            ends = term.valid_to is not None and on > term.valid_to
            if term.clock is clock and term.valid_from <= on and not ends:
                return term
        raise NoTerm(f"no term {clock.value} is entered for {on.isoformat()}: enter it")

    def registered_on(self, received_at: datetime, hours: Hours = OFFICE_HOURS) -> date:
        """The legal date of an appeal: that day, or the next working day (APPC, 64(3))."""
        return self.calendar.registered_on(received_at, hours)

    def due(self, clock: DeadlineKind, begins: date) -> Deadline:
        """The end of a term that begins on a day, which is not counted (76(2), 76(5))."""
        term = self.term(clock, begins)
        if term.unit is TermUnit.WORKING_DAYS:
            return Deadline(self.calendar.add_days(begins, term.length), term.article)
        return Deadline(
            self.calendar.working_from(_months_later(begins, term.length)), term.article
        )

    def answer_due(self, kind: AppealKind, registered_on: date) -> Deadline:
        """Day on which the answer to a formal appeal is due."""
        clock = DeadlineKind.COMPLAINT if kind is AppealKind.COMPLAINT else DeadlineKind.DECIDE
        return self.due(clock, registered_on)

    def extend(self, kind: AppealKind, decided_on: date, until: date) -> tuple[Deadline, Deadline]:
        """The new term of an answer, and when the applicant must have been told (76(3)).

        Raises NotExtended for a complaint (99), and for a day that is too late or no working day.
        """
        if kind is AppealKind.COMPLAINT:
            article = self.term(DeadlineKind.COMPLAINT, decided_on).article
            raise NotExtended(f"the term of a complaint is not extended ({article})")
        latest = self.due(DeadlineKind.EXTEND, decided_on)
        if until > latest.on or until <= decided_on:
            raise NotExtended(
                f"a term may be extended until {latest.on.isoformat()} ({latest.article})"
            )
        new = Deadline(self.calendar.working_from(until), latest.article)
        return new, self.due(DeadlineKind.NOTICE, decided_on)


def _months_later(day: date, months: int) -> date:
    """The same day some months later, or the last day of a shorter month."""
    years, month = divmod(day.month - 1 + months, 12)
    year = day.year + years
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
