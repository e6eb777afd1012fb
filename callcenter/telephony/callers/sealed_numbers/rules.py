"""Rules of sealed numbers: where a withheld number is read, and who opens it until when."""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta

from callcenter.platform.core.caller_id import parse_caller_id
from callcenter.platform.core.errors import InvalidRequest, OperationFailed

#: Headers of an INVITE that may tell a withheld number, the surest first (RFC 3325, 9.1).
HEADERS = ("P-Asserted-Identity", "Remote-Party-ID", "From")
#: An open request keeps its number past its term for so long, if it was made within it.
REQUEST_LIMIT = timedelta(days=3)
#: After the approval; then it has to be asked for again.
OPENING_LIMIT = timedelta(hours=24)

_DISPLAY_NAME = re.compile(r'"(?:[^"\\]|\\.)*"')
_URI = re.compile(r"<([^<>]*)>")


class NotOpenable(InvalidRequest):
    """The number may not be opened so: ask anew, and let another person approve it."""


class NumberUnreadable(OperationFailed):
    """The number cannot be opened with the keys that are here, or it was altered."""


def find_number(values: Iterable[str]) -> str | None:
    """The caller's number in the values of HEADERS: E.164, or a short one; None if none tells."""
    for value in values:
        bare = _DISPLAY_NAME.sub("", value)
        found = _URI.search(bare)
        if number := parse_caller_id(found[1] if found else bare).number:
            return number
    return None


def why_not_opened(
    state: str, people: tuple[str, str | None], who: str, decided_at: datetime | None, now: datetime
) -> str | None:
    """Why a person does not open a number now, in one word for the audit log; None: they do.

    `people` asked and approved: nobody else opens it.
    """
    if state != "approved" or decided_at is None:
        return state
    if who not in people:
        return "stranger"
    return None if now - decided_at < OPENING_LIMIT else "late"
