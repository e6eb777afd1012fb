"""From what the desk and the register say to the figures that a supervisor looks at.

Times are in seconds, moments in epoch seconds. What could not be read is None, never a guess.
"""

import math
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from callcenter.consultants.accounts import LANGUAGES
from callcenter.consultants.holds import Hold
from callcenter.consultants.states import Duty, State, why_no_calls

GOAL = 20  #: seconds within which a caller who waits should be answered
ABANDONED = ("left_waiting", "left_ringing")  #: outcomes of callers who gave up waiting
BAR, BARS = 10, 60  #: the picture of the last ten minutes: seconds of one bar, and their number

#: What consultants are doing, as a supervisor counts them, from what `why_no_calls` says.
GROUPS: Mapping[str, tuple[str | None, ...]] = {
    "free": (None,),
    "ringing": (State.OFFERED.value, State.RINGING.value),
    "talking": (State.TALKING.value,),
    "wrap_up": (State.WRAP_UP.value,),
    "paused": (State.PAUSED.value,),
    "held_back": ("telephone_not_registered", "telephone_in_use", "resting"),
    "signed_out": (State.SIGNED_OUT.value,),
}
_GROUP_OF = {why: group for group, reasons in GROUPS.items() for why in reasons}


@dataclass(frozen=True, slots=True)
class OfRegister:
    """What the register says of a call that lives: `caller` is a masked number."""

    appeal: str
    language: str | None
    caller: str | None
    urgent: Sequence[str]


@dataclass(frozen=True, slots=True)
class WaitingCall:
    """A call that waits, nobody being rung for it yet. `arrived` is in epoch seconds."""

    language: str
    arrived: float
    call: str = ""


@dataclass(frozen=True, slots=True)
class Alarmed:
    """An alarm of the desk (see consultants.alarms): `at` is in epoch seconds."""

    kind: str
    language: str
    at: float


@dataclass(frozen=True, slots=True)
class DeskNow:
    """What Redis says at the moment `at`: `languages` by extension, controllers that live.

    `holders` are the calls that consultants are with, by extension; `holds` are queues held back.
    """

    at: float
    waiting: Sequence[WaitingCall]
    duties: Sequence[Duty]
    languages: Mapping[str, Sequence[str]]
    controllers: int
    alarms: Sequence[Alarmed]
    holders: Mapping[str, str] = field(default_factory=dict)
    holds: Sequence[Hold] = ()


@dataclass(frozen=True, slots=True)
class TodayNow:
    """What PostgreSQL says of the calls that came in since midnight in Asia/Almaty.

    `outcomes` has the living calls under None; `not_honoured` are those whose language nobody at
    work spoke, `other_language` those of them who agreed to another and talked in it; `names` are
    those of consultants, by extension;
    `reasons` are those of pauses that the center keeps: names by language, by code. `calls` are
    those that live, by the switch's id. `marks` callers gave marks with the sum `marked`.
    """

    outcomes: Mapping[str | None, int]
    answered: int
    in_time: int
    callbacks: int = 0  #: promised and not made yet, messages not heard yet
    callbacks_overdue: int = 0
    cut_off: int = 0  #: by a fault from a consultant: to be decided whether they are called back
    not_honoured: int = 0
    other_language: int = 0
    names: Mapping[str, str] = field(default_factory=dict)
    reasons: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    marks: int = 0
    marked: int = 0
    calls: Mapping[str, OfRegister] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Callers who wait, and how long the first of them has waited; None: nobody waits."""

    count: int
    longest: int | None


@dataclass(frozen=True, slots=True)
class OneLanguage:
    """Callers who wait for consultants of this language, and consultants free to take them."""

    waiting: Waiting
    free: int


@dataclass(frozen=True, slots=True)
class OnDuty:
    """A consultant: `why` no call is offered (None: one is), `reason` of a pause, `for_s` so.

    `next` is the group after the conversation, where that was asked for.
    """

    extension: str
    name: str | None
    group: str
    why: str | None
    reason: str | None
    for_s: int
    next: str | None = None


@dataclass(frozen=True, slots=True)
class DeskFigures:
    """What is true now. `alarms` are those of the last ten minutes, the newest first."""

    waiting: Waiting
    languages: Mapping[str, OneLanguage]
    groups: Mapping[str, int]
    consultants: Sequence[OnDuty]
    controllers: int
    alarms: Sequence[Alarmed]


@dataclass(frozen=True, slots=True)
class TodayFigures:
    """Calls since midnight in Asia/Almaty; `answered_in_time` waited 20 seconds at most.

    `marks` callers judged their conversations, from 1 to 5; `average_mark` has two decimals.
    `language_not_honoured`: the caller heard that nobody at work spoke the language;
    `other_language`: agreed to another one, and talked in it.
    """

    calls: int
    in_progress: int
    answered: int
    answered_in_time: int
    abandoned: int
    language_not_honoured: int
    other_language: int
    outcomes: Mapping[str, int]
    marks: int
    average_mark: float | None
    callbacks: int  #: promised and not made yet, messages not heard: whenever it was
    callbacks_overdue: int  #: of these, due for half an hour and more
    cut_off: int  #: callers whom a fault cut off: somebody has to decide whether to call back


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures at the moment `at`; None stands for what is not known now.

    `history` is the most callers who waited in each ten seconds of the last ten minutes, the
    newest last; None where it was not known. `reasons` are the center's names for reasons of
    pauses, by code and language, as far as they are known.
    """

    at: float
    desk: DeskFigures | None
    today: TodayFigures | None
    history: Sequence[int | None]
    reasons: Mapping[str, Mapping[str, str]]


def figures(
    at: float, desk: DeskNow | None, today: TodayNow | None, history: Sequence[int | None]
) -> Figures:
    """The figures from what was read; a part that was not read stays unknown."""
    names = today.names if today else {}
    return Figures(
        at=at,
        desk=None if desk is None else _desk(desk, names),
        today=None if today is None else _today(today),
        history=history,
        reasons=today.reasons if today else {},
    )


def _desk(desk: DeskNow, names: Mapping[str, str]) -> DeskFigures:
    consultants = [_on_duty(desk, duty, names) for duty in desk.duties]
    counted = Counter(each.group for each in consultants)
    free = [each.extension for each in consultants if each.group == "free"]
    return DeskFigures(
        waiting=_waiting(desk, desk.waiting),
        languages={
            language: OneLanguage(
                waiting=_waiting(desk, [c for c in desk.waiting if c.language == language]),
                free=sum(language in desk.languages.get(each, ()) for each in free),
            )
            for language in LANGUAGES
        },
        groups={group: counted[group] for group in GROUPS},
        consultants=consultants,
        controllers=desk.controllers,
        alarms=[alarm for alarm in desk.alarms if desk.at - alarm.at <= BAR * BARS],
    )


def _waiting(desk: DeskNow, calls: Sequence[WaitingCall]) -> Waiting:
    # Clocks of two machines differ: nobody has waited for less than nothing.
    waits = [max(0, math.floor(desk.at - call.arrived)) for call in calls]
    return Waiting(len(waits), max(waits, default=None))


def _on_duty(desk: DeskNow, duty: Duty, names: Mapping[str, str]) -> OnDuty:
    why = why_no_calls(duty)
    return OnDuty(
        extension=duty.extension,
        name=names.get(duty.extension),
        group=_GROUP_OF[why],
        why=why,
        reason=duty.reason,
        for_s=max(0, math.floor(desk.at - duty.since)) if duty.since else 0,
        next=_GROUP_OF[duty.after.value] if duty.after else None,
    )


def _today(today: TodayNow) -> TodayFigures:
    outcomes = {outcome: n for outcome, n in today.outcomes.items() if outcome is not None}
    return TodayFigures(
        calls=sum(today.outcomes.values()),
        in_progress=today.outcomes.get(None, 0),
        answered=today.answered,
        answered_in_time=today.in_time,
        abandoned=sum(outcomes.get(outcome, 0) for outcome in ABANDONED),
        callbacks=today.callbacks,
        callbacks_overdue=today.callbacks_overdue,
        cut_off=today.cut_off,
        language_not_honoured=today.not_honoured,
        other_language=today.other_language,
        outcomes=dict(sorted(outcomes.items(), key=lambda item: (-item[1], item[0]))),
        marks=today.marks,
        average_mark=round(today.marked / today.marks, 2) if today.marks else None,
    )


class History:
    """How many waited in the last ten minutes, in bars of ten seconds."""

    def __init__(self) -> None:
        self._bars: deque[tuple[int, int | None]] = deque(maxlen=BARS)

    def put(self, at: float, waiting: int | None) -> None:
        """So many waited at this moment (epoch seconds); None: it was not known."""
        bar = math.floor(at / BAR)
        if self._bars and self._bars[-1][0] == bar:
            before = self._bars[-1][1]
            known = [count for count in (before, waiting) if count is not None]
            self._bars[-1] = (bar, max(known, default=None))
        else:
            self._bars.append((bar, waiting))

    def bars(self, at: float) -> list[int | None]:
        """The most that waited in each bar up to this moment, the newest last."""
        known = dict(self._bars)
        newest = math.floor(at / BAR)
        return [known.get(bar) for bar in range(newest - BARS + 1, newest + 1)]
