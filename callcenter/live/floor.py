"""Who talks with whom and who waits, call by call, for those who may direct them or hear them.

Times are in seconds. What the register has not written yet, or cannot tell now, is None.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from callcenter.consultants.holds import Hold
from callcenter.consultants.states import State
from callcenter.live.figures import DeskNow, OfRegister, TodayNow


@dataclass(frozen=True, slots=True)
class Talk:
    """A consultant with a caller, for so many seconds."""

    consultant: str
    name: str | None
    for_s: int
    register: OfRegister | None


@dataclass(frozen=True, slots=True)
class Waits:
    """A call that waits, its language, and for how many seconds since it came."""

    call: str
    language: str
    for_s: int
    register: OfRegister | None


@dataclass(frozen=True, slots=True)
class Floor:
    """All of it at one moment: the longest conversations and waits first."""

    talks: Sequence[Talk]
    waiting: Sequence[Waits]
    holds: Sequence[Hold]


def floor(desk: DeskNow | None, today: TodayNow | None) -> Floor | None:
    """The floor from what was read; None when the desk is not known."""
    if desk is None:
        return None
    calls: Mapping[str, OfRegister] = today.calls if today else {}
    names = today.names if today else {}
    talks = [
        Talk(
            duty.extension,
            names.get(duty.extension),
            _seconds(desk.at - duty.since),
            calls.get(desk.holders.get(duty.extension, "")),
        )
        for duty in desk.duties
        if duty.state is State.TALKING
    ]
    waiting = [
        Waits(each.call, each.language, _seconds(desk.at - each.arrived), calls.get(each.call))
        for each in desk.waiting
    ]
    return Floor(
        talks=sorted(talks, key=lambda talk: -talk.for_s),
        waiting=sorted(waiting, key=lambda wait: -wait.for_s),
        holds=desk.holds,
    )


def _seconds(length: float) -> int:
    return max(0, math.floor(length))
