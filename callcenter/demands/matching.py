"""Which recordings a demand means, and why each of them is proposed.

All that the letter names must fit: what it names narrows the search, so that no other conversation
of the same caller or consultant is opened by it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from callcenter.appeals.callers import read_caller
from callcenter.appeals.number import parse
from callcenter.errors import AskedWrongly

LONGEST = timedelta(days=366)  #: of a range of time


class Reason(StrEnum):
    """Why a recording is proposed."""

    APPEAL = "appeal"  #: it belongs to the appeal of that number
    CALLER = "caller"  #: the appeal came from that number
    CONSULTANT = "consultant"  #: that consultant talked
    WITHIN = "within"  #: the conversation lies within the range of time
    OVERLAPS = "overlaps"  #: a part of it does


class Caution(StrEnum):
    """What the records officer must look at before choosing a recording."""

    NO_CONSULTANT = "no_consultant"  #: a message, or a call of the reserve: who spoke is not known
    NOT_STORED = "not_stored"  #: still being recorded or stored: search again later
    FAILED = "failed"  #: the recording failed, there is nothing to hand over
    ERASED = "erased"  #: two people erased it: only its hashes are left


@dataclass(frozen=True)
class Wanted:
    """What the letter names: at least the appeal, the caller or the consultant."""

    appeal_number: str | None = None  #: ten digits
    caller_number: str | None = None  #: E.164, or a short number
    extension: str | None = None  #: of the consultant
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Candidate:
    """A recording, as far as a demand may ask for it."""

    recording_id: UUID
    appeal_number: str
    caller_number: str | None
    extension: str | None
    started_at: datetime
    ended_at: datetime | None
    state: str


def read_wanted(
    appeal_number: str,
    caller_number: str,
    extension: str,
    since: datetime | None,
    until: datetime | None,
) -> Wanted:
    """What a form says that the letter names; an empty text is not named.

    Raises AskedWrongly when a number cannot be one, when nobody is named, or without the range of
    time that a caller or consultant needs.
    """
    caller = read_caller(caller_number).number if caller_number.strip() else None
    if caller_number.strip() and caller is None:
        raise AskedWrongly("the caller's number cannot be read: write it with +7")
    if extension and not extension.isdigit():
        raise AskedWrongly("a consultant's number has digits only")
    appeal = parse(appeal_number) if appeal_number.strip() else None
    if not (appeal or caller or extension):
        raise AskedWrongly("the appeal, the caller's number or the consultant must be named")
    if (since is None) != (until is None):
        raise AskedWrongly("a range of time has a beginning and an end")
    if since is not None and until is not None and not since < until <= since + LONGEST:
        raise AskedWrongly("the range of time must end after it begins, and within a year")
    if appeal is None and since is None:
        raise AskedWrongly("without the appeal's number a range of time must be named")
    return Wanted(appeal, caller, extension or None, since, until)


def reasons(wanted: Wanted, candidate: Candidate) -> tuple[Reason, ...]:
    """Why the recording is proposed; empty when something that the letter names does not fit."""
    fits: dict[Reason, bool] = {}
    if wanted.appeal_number is not None:
        fits[Reason.APPEAL] = candidate.appeal_number == wanted.appeal_number
    if wanted.caller_number is not None:
        fits[Reason.CALLER] = candidate.caller_number == wanted.caller_number
    if wanted.extension is not None:
        fits[Reason.CONSULTANT] = candidate.extension == wanted.extension
    if wanted.since is not None and wanted.until is not None:
        fits |= _time(wanted.since, wanted.until, candidate)
    return tuple(fits) if fits and all(fits.values()) else ()


def cautions(candidate: Candidate) -> tuple[Caution, ...]:
    """What to look at before choosing the recording."""
    found = [] if candidate.extension else [Caution.NO_CONSULTANT]
    if candidate.state != "stored":
        found.append(_WHY_NOT.get(candidate.state, Caution.NOT_STORED))
    return tuple(found)


_WHY_NOT = {"failed": Caution.FAILED, "erased": Caution.ERASED}


def _time(since: datetime, until: datetime, candidate: Candidate) -> dict[Reason, bool]:
    begun, ended = candidate.started_at, candidate.ended_at or candidate.started_at
    if since <= begun < until and ended <= until:
        return {Reason.WITHIN: True}
    return {Reason.OVERLAPS: begun < until and since < ended}
