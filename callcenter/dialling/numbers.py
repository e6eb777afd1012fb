"""Which numbers the line may call: Kazakhstan's plan, and the center's own list above it.

In the plan of Kazakhstan (zone +7) a whole number has ten digits: 70x, 74x, 77x and 78x are
mobiles, 71x and 72x are landlines, 800 is free for who calls. All else costs more than a call, or
goes abroad, and is refused unless the center's list allows it.
"""

import re
from collections.abc import Iterable
from enum import StrEnum

from callcenter.appeals.callers import read_caller
from callcenter.errors import AskedWrongly

#: Emergency services, and services of the state that are called by a short number.
SHORT_NUMBERS = frozenset(
    {"101", "102", "103", "104", "109", "110", "112", "115", "150", "1414", "1424"}
)
EMERGENCY = frozenset({"101", "102", "103", "104", "112"})  #: called whatever else fails
OURSELVES = "111"

_WRITTEN = re.compile(r"[0-9+ ().\-]{2,40}")
_ORDINARY = re.compile(r"\+7(?:7[012478]|800)")
_PAID = re.compile(r"\+7(?:[067]|80)")


class Refusal(StrEnum):
    """Why a number is not called."""

    UNREADABLE = "unreadable"  #: it is no whole number
    INTERNATIONAL = "international"
    PAID = "paid"  #: it costs more than a call, or belongs to nobody
    UNKNOWN_SERVICE = "unknown_service"  #: a short number that is not known
    OURSELVES = "ourselves"  #: the line does not call itself
    CENTER = "center"  #: the center's own list refuses it


_WORDS = {
    Refusal.UNREADABLE: "this is no whole telephone number: enter it as in +7 701 234 56 67, "
    "or a short number as in 102",
    Refusal.INTERNATIONAL: "the line does not call abroad",
    Refusal.PAID: "this number is neither a mobile nor a landline of Kazakhstan",
    Refusal.UNKNOWN_SERVICE: "this short number is not on the list of services",
    Refusal.OURSELVES: "this is the line's own number",
    Refusal.CENTER: "the center does not allow calls to this number",
}


class NumberRefused(AskedWrongly):
    """The line does not call this number."""

    def __init__(self, why: Refusal) -> None:
        super().__init__(_WORDS[why])
        self.why = why


class NumberPolicy:
    """What the center allows and refuses, as in its settings; the plan decides all else.

    Of the entries that fit a number the longest counts, and a refusal before a permission of the
    same length. An entry with + fits all numbers that begin so, one without just that number.
    """

    def __init__(self, allowed: Iterable[str] = (), refused: Iterable[str] = ()) -> None:
        self._list = dict.fromkeys(allowed, True) | dict.fromkeys(refused, False)

    def check(self, written: str) -> str:
        """The number to call, in E.164 or short, from what a person wrote or dialled.

        Raises NumberRefused, which says why.
        """
        called = read_caller(written) if _WRITTEN.fullmatch(written) else None
        if called is None or called.number is None:
            raise NumberRefused(Refusal.UNREADABLE)
        number = called.number
        listed = self._listed(number)
        why = _by_plan(number) if listed is None else None if listed else Refusal.CENTER
        if number == OURSELVES:
            why = Refusal.OURSELVES
        if why is not None:
            raise NumberRefused(why)
        return number

    def allows(self, number: str) -> bool:
        """Whether this number may be called; never raises."""
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


def _by_plan(number: str) -> Refusal | None:
    if not number.startswith("+"):
        return None if number in SHORT_NUMBERS else Refusal.UNKNOWN_SERVICE
    if _ORDINARY.match(number):
        return None
    return Refusal.PAID if _PAID.match(number) else Refusal.INTERNATIONAL
