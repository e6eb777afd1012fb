"""Opening hours in a subset of OpenStreetMap's syntax, as people can type it.

`24/7`, or rules parted by semicolons, each of days and times: `Mo-Th 09:00-13:00,14:30-18:30; Fr
09:00-17:00`. What lies between two times of a day is the break.
"""

import re
from dataclasses import dataclass
from itertools import chain, pairwise

from callcenter.platform.core.errors import InvalidRequest

ALWAYS = "24/7"
DAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")

_DAY = "(?:Mo|Tu|We|Th|Fr|Sa|Su)"
_TIME = r"(?:[01]\d|2[0-3]):[0-5]\d"
_SPAN = rf"{_TIME}-(?:{_TIME}|24:00)"
TIMES = rf"{_SPAN}(?: *, *{_SPAN})*"
_RULE = re.compile(rf"(?P<days>{_DAY}(?:-{_DAY})?(?:,{_DAY}(?:-{_DAY})?)*) +(?P<times>{TIMES})")

#: The times of a day, as `09:00`; what lies between two of them is the break.
DayTimes = tuple[tuple[str, str], ...]
ALL_DAY: DayTimes = (("00:00", "24:00"),)


@dataclass(frozen=True, slots=True)
class OpeningRule:
    """Days of the week, Monday is 0, and their times, as `09:00`."""

    days: tuple[int, ...]
    times: DayTimes

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """The first and last day of each row of days without a gap."""
        ends = [day for day in self.days if day + 1 not in self.days]
        begins = [day for day in self.days if day - 1 not in self.days]
        return tuple(zip(begins, ends, strict=True))


def parse_hours(text: str) -> tuple[OpeningRule, ...]:
    """Parse opening hours; none when nobody has entered them. Raises InvalidRequest."""
    if not text.strip():
        return ()
    if text.strip() == ALWAYS:
        return (OpeningRule(tuple(range(7)), ALL_DAY),)
    rules = tuple(_rule(part.strip()) for part in text.split(";"))
    days = [*chain.from_iterable(rule.days for rule in rules)]
    if len(set(days)) < len(days):
        raise InvalidRequest("each day of the week has its hours once")
    return rules


def format_hours(rules: tuple[OpeningRule, ...]) -> str:
    """Opening hours as they are stored: what `parse_hours` reads."""
    if rules == parse_hours(ALWAYS):
        return ALWAYS
    return "; ".join(
        f"{','.join(_span(*span) for span in rule.spans)} {format_times(rule.times)}"
        for rule in rules
    )


def parse_times(text: str) -> DayTimes:
    """Parse what matches TIMES: the times of a day. Raises InvalidRequest."""
    times = tuple(
        (begin.strip(), end.strip())
        for begin, _, end in (each.partition("-") for each in text.split(","))
    )
    moments = [*chain.from_iterable(times)]
    if any(before >= after for before, after in pairwise(moments)):
        raise InvalidRequest("the times of a day follow each other")
    return times


def format_times(times: DayTimes) -> str:
    """The times of a day as they are stored."""
    return ",".join("-".join(span) for span in times)


def _rule(text: str) -> OpeningRule:
    found = _RULE.fullmatch(text)
    if found is None:
        raise InvalidRequest("opening hours are 24/7, or as Mo-Fr 09:00-13:00,14:30-18:30")
    days = sorted({day for part in found["days"].split(",") for day in _days(part)})
    return OpeningRule(tuple(days), parse_times(found["times"]))


def _days(part: str) -> range:
    first, _, last = part.partition("-")
    begin, end = DAYS.index(first), DAYS.index(last or first)
    if end < begin:
        raise InvalidRequest("days run from Monday to Sunday")
    return range(begin, end + 1)


def _span(first: int, last: int) -> str:
    return DAYS[first] if first == last else f"{DAYS[first]}-{DAYS[last]}"
