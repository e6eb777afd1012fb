"""Short numbers: those of services, which consultants call, and the line's own."""

import re
from collections.abc import Iterable

#: Emergency services, and services of the state that are called by a short number.
SHORT_NUMBERS = frozenset(
    {"101", "102", "103", "104", "109", "110", "112", "115", "150", "1414", "1424"}
)
OURSELVES = "111"


def is_called_number(number: str, called: Iterable[str]) -> bool:
    """Whether a number is one of these, in which X stands for any digit."""
    return any(
        re.fullmatch(re.escape(each).replace("X", "[0-9]"), number) is not None for each in called
    )
