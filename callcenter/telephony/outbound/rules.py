"""Rules of outbound calls: Kazakhstan's plan of numbers, overridden by the center's list.

In the plan of Kazakhstan (zone +7) a whole number has ten digits: 70x, 74x, 77x and 78x are
mobiles, 71x and 72x are landlines, 800 is toll-free. All else costs more than a call, or
goes abroad, and is refused unless the center's list allows it.
"""

import re
from collections.abc import Iterable
from datetime import timedelta
from enum import StrEnum

from callcenter.platform.core.caller_id import parse_caller_id
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.short_numbers import OURSELVES, SHORT_NUMBERS, is_called_number

EMERGENCY = frozenset({"101", "102", "103", "104", "112"})  #: called whatever else fails
ORIGINATE_TIMEOUT = timedelta(minutes=2)  #: within which an outbound call has a leg in Asterisk

_WRITTEN = re.compile(r"[0-9+ ().\-]{2,40}")
_ORDINARY = re.compile(r"\+7(?:7[012478]|800)")
_PAID = re.compile(r"\+7(?:[067]|80)")


class NumberRefusal(StrEnum):
    """The reason that a number is not called."""

    UNREADABLE = "unreadable"  #: it is no whole number
    INTERNATIONAL = "international"
    PAID = "paid"  #: it costs more than a call, or belongs to nobody
    UNKNOWN_SERVICE = "unknown_service"  #: a short number that is not on the list
    OURSELVES = "ourselves"  #: the line does not call itself
    CENTER = "center"  #: the center's own list refuses it


_WORDS = {
    NumberRefusal.UNREADABLE: "this is no whole telephone number: enter it as in +7 701 234 56 67, "
    "or a short number as in 102",
    NumberRefusal.INTERNATIONAL: "the line does not call abroad",
    NumberRefusal.PAID: "this number is neither a mobile nor a landline of Kazakhstan",
    NumberRefusal.UNKNOWN_SERVICE: "this short number is not on the list of services",
    NumberRefusal.OURSELVES: "this is the line's own number",
    NumberRefusal.CENTER: "the center does not allow calls to this number",
}


class NumberRefused(InvalidRequest):
    """The line does not call this number."""

    def __init__(self, why: NumberRefusal) -> None:
        super().__init__(_WORDS[why])
        self.why = why


class NumberPolicy:
    """The center's list of allowed and refused numbers; the plan decides the others.

    Of the entries that fit a number the longest counts, and a refusal before a permission of the
    same length. An entry with + fits all numbers that begin so, one without just that number.
    `called` are the numbers besides 111 by which the line is called itself, X for any digit.
    """

    def __init__(
        self,
        allowed: Iterable[str] = (),
        refused: Iterable[str] = (),
        called: Iterable[str] = (),
    ) -> None:
        self._list = dict.fromkeys(allowed, True) | dict.fromkeys(refused, False)
        self._called = (OURSELVES, *called)

    def check(self, written: str) -> str:
        """The number to call, in E.164 or short, from a written or dialled one.

        Raises NumberRefused with the reason.
        """
        called = parse_caller_id(written) if _WRITTEN.fullmatch(written) else None
        if called is None or called.number is None:
            raise NumberRefused(NumberRefusal.UNREADABLE)
        number = called.number
        listed = self._listed(number)
        why = _by_plan(number) if listed is None else None if listed else NumberRefusal.CENTER
        if is_called_number(number, self._called):
            why = NumberRefusal.OURSELVES
        if why is not None:
            raise NumberRefused(why)
        return number

    def allows(self, number: str) -> bool:
        """True if this number may be called; never raises."""
        try:
            self.check(number)
        except NumberRefused:
            return False
        return True

    def _listed(self, number: str) -> bool | None:
        if not number.startswith("+"):
            return self._list.get(number)
        fitting = (entry for entry in self._list if entry[0] == "+" and number.startswith(entry))
        longest = max(fitting, key=len, default=None)
        return None if longest is None else self._list[longest]


def _by_plan(number: str) -> NumberRefusal | None:
    if not number.startswith("+"):
        return None if number in SHORT_NUMBERS else NumberRefusal.UNKNOWN_SERVICE
    if _ORDINARY.match(number):
        return None
    return NumberRefusal.PAID if _PAID.match(number) else NumberRefusal.INTERNATIONAL
