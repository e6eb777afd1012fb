"""ИИН of a person and БИН of a legal entity: twelve digits with a check digit.

Resolutions of the Government 565 of 2003 and 406 of 2007. Since 853 of 2013 nothing promises that
the digits tell birth or sex truly, so only length and check digit are judged here.
"""

import re

from callcenter.platform.core.errors import N_, InvalidRequest

_TWELVE_DIGITS = re.compile(r"[0-9]{12}")
_SEPARATORS = re.compile(r"[\s.\-–—]+")
_WEIGHTS = tuple(range(1, 12)), (3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 2)


def check_digit(eleven: str) -> int | None:
    """The check digit of eleven digits; None for a number that is never issued."""
    for weights in _WEIGHTS:
        rest = sum(int(digit) * weight for digit, weight in zip(eleven, weights, strict=True)) % 11
        if rest < 10:
            return rest
    return None


def parse_identifier(written: str) -> str:
    """The twelve digits as a person wrote them: spaces, dots and dashes are ignored.

    Raises InvalidRequest that says what is wrong.
    """
    digits = _SEPARATORS.sub("", written)
    if _TWELVE_DIGITS.fullmatch(digits) is None or digits == "0" * 12:
        raise InvalidRequest(N_("IIN and BIN have twelve digits: check it and enter it again"))
    if check_digit(digits[:11]) != int(digits[11]):
        raise InvalidRequest(
            N_("there is a mistake in the IIN or BIN: check it and enter it again")
        )
    return digits
