"""In-call codes: DTMF codes of the consultant and their commands; the caller hears none.

*14        to 1414, with notice
*15        leave, and survey the caller
*2 EXT #   hold, and consult another consultant
*3 EXT #   blind transfer to another consultant
*4 NUM #   hold, and dial an external party
*5         hold, and resume
*6         mute, and unmute
*7         transfer the caller to the third party
*8         join all three
*9         hang up the third party; back to the caller
*00 *01 *02   back to the queue: in the same language, in Kazakh, in Russian
"""

import time
from collections.abc import Callable, Mapping

from callcenter.telephony.acd.rules.call_commands import CallCommand

KEY_TIMEOUT = 3.0  # seconds within which the next key of a code must follow
LENGTH_LIMIT = 20  # keys

PLAIN_CODES: Mapping[str, CallCommand] = {
    "*15": CallCommand("survey", "self"),
    "*5": CallCommand("hold_or_resume", "self"),
    "*6": CallCommand("mute_or_unmute", "self"),
    "*7": CallCommand("hand_over", "self"),
    "*8": CallCommand("together", "self"),
    "*9": CallCommand("back", "self"),
    "*00": CallCommand("queue", "self"),
    "*01": CallCommand("queue", "self", {"language": "kk"}),
    "*02": CallCommand("queue", "self", {"language": "ru"}),
}
#: The keys between the prefix and # are the target.
TARGET_CODES: Mapping[str, str] = {"*2": "consult", "*3": "transfer", "*4": "call"}


class InCallCodeReader:
    """Reads codes key by key. A star always starts a new code."""

    def __init__(self, redirect_keys: str, clock: Callable[[], float] = time.monotonic) -> None:
        """`redirect_keys` are the code for 1414; `clock` is in seconds."""
        self._plain_codes = {redirect_keys: CallCommand("redirect", "self"), **PLAIN_CODES}
        self._clock = clock
        self._typed = ""
        self._last = 0.0

    def key(self, key: str) -> CallCommand | None:
        """Return the command that this key completes, else None."""
        now = self._clock()
        is_expired, self._last = now - self._last > KEY_TIMEOUT, now
        if (
            is_expired
            or len(self._typed) == LENGTH_LIMIT
            or (key == "*" and not self._expects_star())
        ):
            self._typed = ""
        self._typed += key
        command = self._plain_codes.get(self._typed) or self._with_target()
        if command is not None:
            self._typed = ""
        return command

    def _expects_star(self) -> bool:
        return any(code.startswith(self._typed + "*") for code in self._plain_codes)

    def _with_target(self) -> CallCommand | None:
        what = TARGET_CODES.get(self._typed[:2])
        target = self._typed[2:-1]
        if what is None or self._typed[-1] != "#" or not target.isdigit():
            return None
        return CallCommand(what, "self", {"to": target})
