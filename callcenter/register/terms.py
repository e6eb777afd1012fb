"""The terms that the law sets for an appeal: data with dates of validity, counted by the calendar.

Administrative Procedural and Process-Related Code (APPC) 350-VI: articles 64, 65, 76 and 99.
"""

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from callcenter.errors import AskedWrongly, WeFailed
from callcenter.register.stages import Kind
from callcenter.workdays.calendar import USUAL, Calendar, Hours


class Clock(StrEnum):
    """What a term is for."""

    FORWARD = "forward"  #: to the competent body, with notice to the applicant
    DECIDE = "decide"  #: the answer
    COMPLAINT = "complaint"  #: the answer to a complaint; never extended
    EXTEND = "extend"  #: how far an answer may be put off, in months from the decision
    NOTICE = "notice"  #: to tell the applicant of it


class Unit(StrEnum):
    WORKING_DAYS = "working_days"
    MONTHS = "months"


@dataclass(frozen=True, slots=True)
class Term:
    """A term and its source. It holds from one day to another, both included; None: no end."""

    clock: Clock
    length: int
    unit: Unit
    article: str
    valid_from: date
    valid_to: date | None = None


class NoTerm(WeFailed):
    """The law's term for this day is not entered."""


class NotExtended(AskedWrongly):
    """This appeal's term cannot be extended."""


@dataclass(frozen=True, slots=True)
class Due:
    """A last day (Asia/Almaty), with the article that sets it."""

    on: date
    article: str


@dataclass(frozen=True, slots=True)
class Law:
    """The terms in force, and the calendar that they are counted by."""

    terms: Sequence[Term]
    calendar: Calendar

    def term(self, clock: Clock, on: date) -> Term:
        """The term that holds on a day. Raises NoTerm."""
        for term in self.terms:
            ends = term.valid_to is not None and on > term.valid_to
            if term.clock is clock and term.valid_from <= on and not ends:
                return term
        raise NoTerm(f"no term {clock.value} is entered for {on.isoformat()}: enter it")

    def registered_on(self, received_at: datetime, hours: Hours = USUAL) -> date:
        """The legal date of an appeal: that day, or the next working day (APPC, 64(3))."""
        return self.calendar.registered_on(received_at, hours)

    def due(self, clock: Clock, begins: date) -> Due:
        """The end of a term that begins on a day, which is not counted (76(2), 76(5))."""
        term = self.term(clock, begins)
        if term.unit is Unit.WORKING_DAYS:
            return Due(self.calendar.add_days(begins, term.length), term.article)
        return Due(self.calendar.working_from(_months_later(begins, term.length)), term.article)

    def answer_due(self, kind: Kind, registered_on: date) -> Due:
        """When the answer to a formal appeal is due."""
        clock = Clock.COMPLAINT if kind is Kind.COMPLAINT else Clock.DECIDE
        return self.due(clock, registered_on)

    def extended(self, kind: Kind, decided_on: date, until: date) -> tuple[Due, Due]:
        """The new term of an answer, and when the applicant must have been told (76(3)).

        Raises NotExtended for a complaint (99), and for a day that is too late or no working day.
        """
        if kind is Kind.COMPLAINT:
            article = self.term(Clock.COMPLAINT, decided_on).article
            raise NotExtended(f"the term of a complaint is not extended ({article})")
        latest = self.due(Clock.EXTEND, decided_on)
        if until > latest.on or until <= decided_on:
            raise NotExtended(
                f"a term may be extended until {latest.on.isoformat()} ({latest.article})"
            )
        new = Due(self.calendar.working_from(until), latest.article)
        return new, self.due(Clock.NOTICE, decided_on)


def _months_later(day: date, months: int) -> date:
    """The same day so many months later, or the last one of a month that is too short."""
    years, month = divmod(day.month - 1 + months, 12)
    year = day.year + years
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
