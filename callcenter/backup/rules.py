"""Rules of a restore: which numbers of appeals are not given again. Pure, without I/O."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from callcenter.appeals.rules.number import LAST_SEQUENCE

#: Numbers that are left out for each day whose appeals may be lost: more than a day has. A busy day
#: has 6 000 calls, and the mark is written every minute.
SPARE_NUMBERS = 10_000


def numbers_to_skip(
    given: Mapping[int, int], *, noted_at: datetime, now: datetime, years: Iterable[int]
) -> dict[int, int]:
    """The last number to count as given, of each year in which one may have been given since.

    `given` are those that are known to be, by the year in two digits, as of `noted_at`; `years` are
    those from the backup to `now`, whose calls may be entered again.
    """
    days = max((now - noted_at).days, 0) + 1
    return {year: min(given.get(year, 0) + SPARE_NUMBERS * days, LAST_SEQUENCE) for year in years}
