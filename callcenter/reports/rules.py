"""Figures of a period: what each counts and how it is reckoned.

Days are those of Asia/Almaty.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from callcenter.consultants.rules.states import RECOVERY, PresenceState, is_recovery
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.timezone import midnight

DAYS_LIMIT = 92  # of a period: a quarter, which a big register counts in seconds
EARLIEST = date(2000, 1, 1)
#: A caller who calls again so soon was not helped the first time.
AGAIN_AFTER = timedelta(days=7)

#: States as a line of consultants' hours has them; recovery from a hard call stands apart.
HOURS: Mapping[str, tuple[PresenceState, ...]] = {
    "ready": (PresenceState.READY,),
    "ringing": (PresenceState.OFFERED, PresenceState.RINGING),
    "talking": (PresenceState.TALKING,),
    "wrap_up": (PresenceState.WRAP_UP,),
    RECOVERY: (),
    "paused": (PresenceState.PAUSED,),
}
_GROUP_OF = {state: group for group, states in HOURS.items() for state in states}


class Measure(StrEnum):
    """Counts of calls; each has its list of appeals, whose address names it."""

    RECEIVED = "received"  #: inbound calls
    OFFERED = "offered"  #: of these, waited for a consultant
    ANSWERED = "answered"  #: of these, talked with one
    IN_TIME = "in_time"  #: of these, within the seconds of the service level
    ABANDONED = "abandoned"  #: hung up while they waited
    REDIRECTED = "redirected"  #: went to 1414
    NOT_HONOURED = "not_honoured"  #: heard that nobody at work spoke their language
    OTHER_LANGUAGE = "other_language"  #: of these, agreed to another one and talked in it
    REFUSED_WITH_APPEAL = "refused_with_appeal"  #: the switch could not serve them
    ATTEMPTS = "attempts"  #: calls with a number, by which callers are told apart
    FIRST_CONTACTS = "first_contacts"  #: answered calls of numbers not answered in 7 days before
    HELPED = "helped"  #: of these, the number did not call again within 7 days
    AT_RISK = "at_risk"  #: of those received, in danger or with thoughts of suicide
    FOLLOW_UP_OFFERED = "follow_up_offered"  #: of these, another call was offered
    FOLLOWED_UP = "followed_up"  #: of these, somebody was reached by it


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days in Asia/Almaty, the last one included."""

    first: date
    last: date

    @property
    def since(self) -> datetime:
        return midnight(self.first)

    @property
    def until(self) -> datetime:
        """Its end, which is not of it."""
        return midnight(self.last + timedelta(days=1))

    @property
    def days(self) -> list[date]:
        """All of its days, in order."""
        count = (self.last - self.first).days + 1
        return [self.first + timedelta(days=n) for n in range(count)]


def yesterday(today: date) -> Period:
    """The day before this one."""
    day = today - timedelta(days=1)
    return Period(day, day)


def last_week(today: date) -> Period:
    """The seven days before this one."""
    return Period(today - timedelta(days=7), today - timedelta(days=1))


def last_month(today: date) -> Period:
    """The whole calendar month before this one."""
    last = today.replace(day=1) - timedelta(days=1)
    return Period(last.replace(day=1), last)


def check_period(first: date, last: date, today: date) -> Period:
    """The period of these days. Raises InvalidRequest: turned round, too long, or to come."""
    if not EARLIEST <= first <= last <= today or (last - first).days >= DAYS_LIMIT:
        raise InvalidRequest(f"up to {DAYS_LIMIT} days, the last not after today")
    return Period(first, last)


@dataclass(frozen=True, slots=True)
class CallFigures:
    """Counts of calls by `Measure`, and how long they waited in the queue (None: nobody did).

    `refused` are all calls that the switch could not serve (R25), also those without an appeal,
    which are not among those received (docs/decisions/0088). A wait ends when the call is answered
    or abandoned; half are at most `wait_median`, 95 of 100 at most `wait_p95`.
    """

    received: int = 0
    offered: int = 0
    answered: int = 0
    in_time: int = 0
    abandoned: int = 0
    redirected: int = 0
    not_honoured: int = 0
    other_language: int = 0
    refused: int = 0
    refused_with_appeal: int = 0
    wait_median: timedelta | None = None
    wait_p95: timedelta | None = None
    wait_longest: timedelta | None = None

    @property
    def otherwise(self) -> int:
        """Calls that were offered, and neither answered nor abandoned: 1414, a callback, ..."""
        return self.offered - self.answered - self.abandoned


@dataclass(frozen=True, slots=True)
class CallerFigures:
    """Callers whose numbers are known, and their calls; see `Measure`."""

    callers: int
    attempts: int
    first_contacts: int
    helped: int


@dataclass(frozen=True, slots=True)
class FollowUpFigures:
    """Calls after which another one is offered, and what came of that; see `Measure`."""

    at_risk: int
    follow_up_offered: int
    followed_up: int


@dataclass(frozen=True, slots=True)
class PeriodFigures:
    """Calls of a period: all, those of each of its days, and of each hour of the day."""

    total: CallFigures
    days: Mapping[date, CallFigures]
    hours: Mapping[int, CallFigures]
    callers: CallerFigures
    follow_ups: FollowUpFigures


@dataclass(frozen=True, slots=True)
class ConsultantHours:
    """The time of a consultant at work, by the keys of `HOURS`."""

    extension: str
    name: str
    times: Mapping[str, timedelta]

    @property
    def at_work(self) -> timedelta:
        return sum(self.times.values(), timedelta())


def hours_of(
    extension: str, name: str, spent: Mapping[tuple[PresenceState, str | None], timedelta]
) -> ConsultantHours:
    """Sum up times in states and for reasons; being signed out is no work."""
    times = dict.fromkeys(HOURS, timedelta())
    for (state, reason), lasted in spent.items():
        group = RECOVERY if is_recovery(state, reason) else _GROUP_OF.get(state)
        if group is not None:
            times[group] += lasted
    return ConsultantHours(extension, name, times)
