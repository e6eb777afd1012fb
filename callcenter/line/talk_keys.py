"""Codes that a consultant keys while talking, and the order that each is; the caller hears none.

*14        to 1414, with notice
*15        leave, and have the caller asked for a mark
*2 EXT #   set the caller aside, and ask another consultant
*3 EXT #   hand the caller over to another consultant, who is rung
*4 NUM #   set the caller aside, and call somebody outside
*5         hold, and resume
*6         mute, and unmute
*7         hand the caller over to the one who was asked
*8         all three together
*9         let the one who was asked go; back to the caller
*00 *01 *02   back to the queue: in the same language, in Kazakh, in Russian
"""

import time
from collections.abc import Callable, Mapping

from callcenter.consultants.orders import Order

KEYS_APART = 3.0  # seconds within which the next key of a code must follow
LONGEST = 20  # keys; what is longer is no code

BY_ITSELF: Mapping[str, Order] = {
    "*15": Order("survey", "self"),
    "*5": Order("hold_or_resume", "self"),
    "*6": Order("mute_or_unmute", "self"),
    "*7": Order("hand_over", "self"),
    "*8": Order("together", "self"),
    "*9": Order("back", "self"),
    "*00": Order("queue", "self"),
    "*01": Order("queue", "self", {"language": "kk"}),
    "*02": Order("queue", "self", {"language": "ru"}),
}
#: The keys between the beginning and # are whom it is about.
WITH_TARGET: Mapping[str, str] = {"*2": "consult", "*3": "transfer", "*4": "call"}


class TalkKeys:
    """Reads codes key by key. Whatever is keyed, the next star begins a code anew."""

    def __init__(self, redirect_keys: str, clock: Callable[[], float] = time.monotonic) -> None:
        """`redirect_keys` are the code for 1414; `clock` is in seconds."""
        self._alone = {redirect_keys: Order("redirect", "self"), **BY_ITSELF}
        self._clock = clock
        self._typed = ""
        self._last = 0.0

    def key(self, key: str) -> Order | None:
        """The order that this key completes."""
        now = self._clock()
        is_late, self._last = now - self._last > KEYS_APART, now
        if is_late or len(self._typed) == LONGEST or (key == "*" and not self._expects_star()):
            self._typed = ""
        self._typed += key
        order = self._alone.get(self._typed) or self._with_target()
        if order is not None:
            self._typed = ""
        return order

    def _expects_star(self) -> bool:
        return any(code.startswith(self._typed + "*") for code in self._alone)

    def _with_target(self) -> Order | None:
        what = WITH_TARGET.get(self._typed[:2])
        target = self._typed[2:-1]
        if what is None or self._typed[-1] != "#" or not target.isdigit():
            return None
        return Order(what, "self", {"to": target})
