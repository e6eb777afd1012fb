"""The number of an appeal (R12): ten or eleven digits, the last of which is a check digit.

Two digits of the year, seven of the sequence within the year, one check digit by Damm's algorithm
(H. M. Damm, 2004): every single wrong digit and every swap of two neighbours is caught, which are
nearly all the slips people make; the usual sums modulo 10 (Luhn) miss a swap of 0 and 9. The
sequence has eight digits once a year has used up those of seven.
"""

import re

from callcenter.platform.core.errors import DependencyUnavailable, InvalidRequest

LAST_SEQUENCE = 99_999_999

# Damm's quasigroup of order 10: the diagonal is zero, so the check digit is what the table yields
# for the other nine, and a whole number is right when it yields zero.
_QUASIGROUP = (
    (0, 3, 1, 7, 5, 9, 8, 6, 4, 2),
    (7, 0, 9, 2, 1, 5, 4, 8, 6, 3),
    (4, 2, 0, 6, 8, 7, 1, 3, 5, 9),
    (1, 7, 5, 0, 9, 8, 3, 4, 2, 6),
    (6, 1, 2, 3, 0, 4, 5, 9, 7, 8),
    (3, 6, 7, 4, 2, 0, 9, 5, 8, 1),
    (5, 8, 6, 9, 7, 2, 0, 1, 3, 4),
    (8, 9, 4, 5, 3, 6, 2, 0, 1, 7),
    (9, 4, 3, 8, 6, 1, 7, 2, 0, 5),
    (2, 5, 8, 1, 4, 3, 6, 7, 9, 0),
)
_DIGITS = re.compile(r"[0-9]{2}[1-9]?[0-9]{8}")  # an eighth digit of the sequence is no zero
_SEPARATORS = re.compile(r"[\s.\-–—]+")


class NumbersExhausted(DependencyUnavailable):
    """There is no number left for appeals of this year."""


def make(year: int, sequence: int) -> str:
    """The number of the `sequence`-th appeal (from 1) of a two-digit `year`.

    Raises NumbersExhausted beyond LAST_SEQUENCE, InvalidRequest when the year is not 0-99 or the
    sequence is below 1.
    """
    if not 0 <= year <= 99:
        raise InvalidRequest(f"the year of an appeal's number is two digits, not {year}")
    if sequence < 1:
        raise InvalidRequest(f"the sequence of an appeal's number is from 1, not {sequence}")
    if sequence > LAST_SEQUENCE:
        raise NumbersExhausted
    digits = f"{year:02}{sequence:07}"
    return f"{digits}{_damm(digits)}"


def split(number: str) -> tuple[int, int]:
    """The year, two digits, and the sequence of a number that `is_valid`."""
    return int(number[:2]), int(number[2:-1])


def is_valid(number: str) -> bool:
    """Whether this is a number that we could have given, digits only. Never raises."""
    return _DIGITS.fullmatch(number) is not None and _damm(number) == 0


def parse(written: str) -> str:
    """The digits of a number as a person wrote it: spaces, dots and dashes are ignored.

    Raises InvalidRequest when it is not a number that we could have given.
    """
    number = _SEPARATORS.sub("", written)
    if _DIGITS.fullmatch(number) is None:
        raise InvalidRequest(
            "an appeal's number has ten or eleven digits: check it and enter it again"
        )
    if not is_valid(number):
        raise InvalidRequest(
            "there is a mistake in the appeal's number: check it and enter it again"
        )
    return number


def _damm(digits: str) -> int:
    interim = 0
    for digit in digits:
        interim = _QUASIGROUP[interim][int(digit)]
    return interim
