"""ИИН of a person and БИН of a legal entity: twelve digits, of which the last checks the others.

Resolutions of the Government 565 of 2003 and 406 of 2007. Since 853 of 2013 nothing promises that
the digits tell birth or sex truly, so only length and check digit are judged here.
"""

import re

from callcenter.errors import N_, AskedWrongly

_TWELVE_DIGITS = re.compile(r"[0-9]{12}")
_SEPARATORS = re.compile(r"[\s.\-–—]+")
_WEIGHTS = tuple(range(1, 12)), (3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 2)


def check_digit(eleven: str) -> int | None:
    """The twelfth digit; None for a number that is never given out, since none would fit."""
    for weights in _WEIGHTS:
        rest = sum(int(digit) * weight for digit, weight in zip(eleven, weights, strict=True)) % 11
        if rest < 10:
            return rest
    return None


def parse_identifier(written: str) -> str:
    """The twelve digits as a person wrote them: spaces, dots and dashes are ignored.

    Raises AskedWrongly that says what is wrong.
    """
    digits = _SEPARATORS.sub("", written)
    if _TWELVE_DIGITS.fullmatch(digits) is None or digits == "0" * 12:
        raise AskedWrongly(N_("IIN and BIN have twelve digits: check it and enter it again"))
    if check_digit(digits[:11]) != int(digits[11]):
        raise AskedWrongly(N_("there is a mistake in the IIN or BIN: check it and enter it again"))
    return digits
