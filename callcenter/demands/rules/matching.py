"""Search criteria of a demand, and the reasons for which a recording matches them.

All that the letter names must fit: what it names narrows the search, so that no other conversation
of the same caller or consultant is opened by it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from callcenter.appeals.rules.number import parse
from callcenter.platform.core.caller_id import parse_caller_id
from callcenter.platform.core.errors import InvalidRequest

LONGEST = timedelta(days=366)  #: of a range of time


class MatchReason(StrEnum):
    """The reason for which a recording is proposed."""

    APPEAL = "appeal"  #: it belongs to the appeal of that number
    CALLER = "caller"  #: the appeal came from that number
    CONSULTANT = "consultant"  #: that consultant talked
    WITHIN = "within"  #: the conversation lies within the range of time
    OVERLAPS = "overlaps"  #: a part of it does


class MatchWarning(StrEnum):
    """A warning to the records officer about a match."""

    NO_CONSULTANT = "no_consultant"  #: a message, or a call of the reserve: who spoke is not known
    NOT_STORED = "not_stored"  #: still being recorded or stored: search again later
    FAILED = "failed"  #: the recording failed, there is nothing to hand over
    EMPTY = "empty"  #: neither side sent any sound, there is nothing to hand over
    ERASED = "erased"  #: two people erased it: only its hashes are left


@dataclass(frozen=True)
class SearchCriteria:
    """The search criteria of a letter: at least the appeal, the caller or the consultant."""

    appeal_number: str | None = None  #: digits only
    caller_number: str | None = None  #: E.164, or a short number
    extension: str | None = None  #: of the consultant
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Candidate:
    """The fields of a recording that search criteria compare."""

    recording_id: UUID
    appeal_number: str
    caller_number: str | None
    extension: str | None
    started_at: datetime
    ended_at: datetime | None
    state: str


def read_criteria(
    appeal_number: str,
    caller_number: str,
    extension: str,
    since: datetime | None,
    until: datetime | None,
) -> SearchCriteria:
    """Parse search criteria from a form; an empty text is not named.

    Raises InvalidRequest when a number cannot be one, when nobody is named, or without the range of
    time that a caller or consultant needs.
    """
    caller = parse_caller_id(caller_number).number if caller_number.strip() else None
    if caller_number.strip() and caller is None:
        raise InvalidRequest("the caller's number cannot be read: write it with +7")
    if extension and not extension.isdigit():
        raise InvalidRequest("a consultant's number has digits only")
    appeal = parse(appeal_number) if appeal_number.strip() else None
    if not (appeal or caller or extension):
        raise InvalidRequest("the appeal, the caller's number or the consultant must be named")
    if (since is None) != (until is None):
        raise InvalidRequest("a range of time has a beginning and an end")
    if since is not None and until is not None and not since < until <= since + LONGEST:
        raise InvalidRequest("the range of time must end after it begins, and within a year")
    if appeal is None and since is None:
        raise InvalidRequest("without the appeal's number a range of time must be named")
    return SearchCriteria(appeal, caller, extension or None, since, until)


def reasons(criteria: SearchCriteria, candidate: Candidate) -> tuple[MatchReason, ...]:
    """The reasons for which a recording matches; empty when a named criterion does not fit."""
    fits: dict[MatchReason, bool] = {}
    if criteria.appeal_number is not None:
        fits[MatchReason.APPEAL] = candidate.appeal_number == criteria.appeal_number
    if criteria.caller_number is not None:
        fits[MatchReason.CALLER] = candidate.caller_number == criteria.caller_number
    if criteria.extension is not None:
        fits[MatchReason.CONSULTANT] = candidate.extension == criteria.extension
    if criteria.since is not None and criteria.until is not None:
        fits |= _time(criteria.since, criteria.until, candidate)
    return tuple(fits) if fits and all(fits.values()) else ()


def cautions(candidate: Candidate) -> tuple[MatchWarning, ...]:
    """The warnings about a match, to be seen before it is chosen."""
    found = [] if candidate.extension else [MatchWarning.NO_CONSULTANT]
    if candidate.state != "stored":
        found.append(_WHY_NOT.get(candidate.state, MatchWarning.NOT_STORED))
    return tuple(found)


_WHY_NOT = {
    "failed": MatchWarning.FAILED,
    "empty": MatchWarning.EMPTY,
    "erased": MatchWarning.ERASED,
}


def _time(since: datetime, until: datetime, candidate: Candidate) -> dict[MatchReason, bool]:
    begun, ended = candidate.started_at, candidate.ended_at or candidate.started_at
    if since <= begun < until and ended <= until:
        return {MatchReason.WITHIN: True}
    return {MatchReason.OVERLAPS: begun < until and since < ended}
