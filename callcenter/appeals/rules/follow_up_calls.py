"""Follow-up calls: another call in one to three days to somebody who was in danger.

Four of five people who had such calls said that it kept them alive (evaluation of the 988
Lifeline, 2018).
"""

from datetime import datetime, timedelta
from enum import StrEnum

from callcenter.platform.core.errors import N_, InvalidRequest
from callcenter.platform.core.timezone import ZONE

OFFER_LIMIT = timedelta(days=3)  # after the contact, in which pages remind of the offer
DAYS = range(1, 4)  #: after the day of the booking, in Asia/Almaty
ATTEMPTS_LIMIT = 3  #: tries that may reach nobody
RETRY_AFTER = timedelta(hours=3)  # between two tries: at another hour somebody may be there
BAD_DAY = N_("choose one of the next three days")


class FollowUpResult(StrEnum):
    """The end of a follow-up call."""

    REACHED = "reached"
    NOT_REACHED = "not_reached"  #: by as many attempts as may be made
    DECLINED = "declined"  #: by the person, when it was offered or later


def check_day(at: datetime, now: datetime) -> None:
    """Raise InvalidRequest unless `at` is on one of the days for a follow-up call."""
    if (at.astimezone(ZONE).date() - now.astimezone(ZONE).date()).days not in DAYS:
        raise InvalidRequest(BAD_DAY)


def next_attempt(attempts: int, now: datetime) -> datetime | None:
    """The moment of the next attempt after so many that reached nobody; None: there is none."""
    return now + RETRY_AFTER if attempts < ATTEMPTS_LIMIT else None
