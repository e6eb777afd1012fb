"""Wallboard figures, computed from snapshots of the ACD and of today's appeals.

Times are in seconds, moments in epoch seconds. Unread values are None, never a guess.
"""

import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median_low
from typing import Annotated

from pydantic import Field

from callcenter.consultants.rules.states import PresenceState, PresenceStatus, why_no_calls
from callcenter.intake.rules.queue import WrittenQueue
from callcenter.platform.core.languages import CALLER_LANGUAGES
from callcenter.platform.identity.permissions import Grantee
from callcenter.platform.monitoring.severity import AlertOwner, AlertSeverity
from callcenter.telephony.acd.paused_queues import QueuePause

NOTHING_WRITTEN = WrittenQueue()
ABANDONED = ("left_waiting", "left_ringing")  #: outcomes of callers who gave up waiting
#: A line without calls is silent at the earliest after this, by as many weeks and calls at least.
LEAST_SILENCE, LEAST_WEEKS, USUAL_CALLS = timedelta(minutes=15), 4, 20
COVERS_SEPARATOR = "\n"  #: of the ids of alerts in the audit entry of an acknowledgement
BAR, BARS = 10, 60  #: the picture of the last ten minutes: seconds of one bar, and their number

#: Groups of consultants as a supervisor counts them, by the result of `why_no_calls`.
GROUPS: Mapping[str, tuple[str | None, ...]] = {
    "free": (None,),
    "ringing": (PresenceState.OFFERED.value, PresenceState.RINGING.value),
    "talking": (PresenceState.TALKING.value,),
    "wrap_up": (PresenceState.WRAP_UP.value,),
    "paused": (PresenceState.PAUSED.value,),
    "held_back": ("telephone_not_registered", "telephone_in_use", "resting"),
    "signed_out": (PresenceState.SIGNED_OUT.value,),
}
_GROUP_OF = {why: group for group, reasons in GROUPS.items() for why in reasons}


@dataclass(frozen=True, slots=True)
class AppealSummary:
    """The appeal of a call in progress; `caller` is a masked number."""

    appeal: str
    language: str | None
    caller: str | None
    urgent: Sequence[str]


@dataclass(frozen=True, slots=True)
class WaitingCall:
    """A waiting call, without an offer yet. `arrived` is in epoch seconds.

    It `goes_first` when it is urgent, or the last call of this caller was dropped.
    """

    language: str
    arrived: float
    call: str = ""
    goes_first: bool = False


@dataclass(frozen=True, slots=True)
class AlertGroup:
    """Alerts of one kind and language; the oldest is of `since`, the newest came at `at`.

    Both in epoch seconds. `taken_by` are those who see to it (as in the audit log), to all of it
    when it `is_taken`. One without an `id` passes by itself. `path` is where its owner acts;
    `alerts` are when each was raised, by its id; `added`, when it came to the board: later, where
    Redis had lost it.
    """

    id: str
    kind: str
    language: str
    severity: AlertSeverity
    owner: AlertOwner
    path: str
    count: int
    at: float
    since: float
    label: Annotated[str, Field(exclude=True)]  #: to translate; empty: a kind of another version
    subjects: Sequence[str] = ()
    is_subject_public: Annotated[bool, Field(exclude=True)] = False
    alerts: Annotated[Mapping[str, float], Field(exclude=True)] = field(default_factory=dict)
    added: Annotated[Mapping[str, float], Field(exclude=True)] = field(default_factory=dict)
    taken_by: Sequence[str] = ()
    is_taken: bool = False

    @property
    def is_critical(self) -> bool:
        """Whether somebody is in danger, or something cannot be made good later."""
        return self.severity is AlertSeverity.CRITICAL

    def is_acknowledged_by(self, grantee: Grantee) -> bool:
        """Whether an actor of this role may acknowledge it: its owner, and the head."""
        return grantee.value in (self.owner.value, AlertOwner.HEAD.value)


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """An acknowledgement of the last day: of what, by whom (as in the audit log), and when."""

    kind: str
    language: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class RaisedAlert:
    """An alert of the register or the audit log; its id begins with the key of its kind."""

    id: str
    language: str
    at: datetime

    @property
    def kind(self) -> str:
        """The key of its kind."""
        return self.id.partition(":")[0]


def find_unacknowledged(
    raised: Iterable[RaisedAlert], covered: Mapping[str, datetime]
) -> list[RaisedAlert]:
    """The alerts raised after their newest acknowledgement, each as it was raised first.

    `covered` has the times of the newest acknowledgements, by the ids that they cover.
    """
    found: dict[str, RaisedAlert] = {}
    for each in sorted(raised, key=lambda alert: alert.at):
        if each.id not in covered or each.at > covered[each.id]:
            found.setdefault(each.id, each)
    return list(found.values())


@dataclass(frozen=True, slots=True)
class DistributorSnapshot:
    """The state of the ACD at the moment `at`: `languages` by extension, live controllers.

    `holders` are the calls of consultants, by extension, `wrap_ups` the moments when theirs end;
    `holds` are paused queues. `alerts` are the gravest first. Two are equal when only the moment
    differs.
    """

    at: float = field(compare=False)
    waiting: Sequence[WaitingCall]
    statuses: Sequence[PresenceStatus]
    languages: Mapping[str, Sequence[str]]
    controllers: int
    alerts: Sequence[AlertGroup]
    holders: Mapping[str, str] = field(default_factory=dict)
    holds: Sequence[QueuePause] = ()
    wrap_ups: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TodayNow:
    """The calls of PostgreSQL that were received since midnight in Asia/Almaty.

    `outcomes` has calls in progress under None; `not_honoured` are those whose language nobody at
    work spoke, `other_language` those of them who agreed to another and talked in it; `refused` are
    those that the switch could not serve, also without an appeal; `names` are those of consultants,
    by extension; `reasons` are those of pauses, from the center's list: names by language, by code.
    `written` is the queue of written contacts, of any day. `calls` are those in progress, by
    Asterisk's id. `marks` callers gave marks with the sum `marked`.
    """

    outcomes: Mapping[str | None, int]
    answered: int
    in_time: int
    callbacks: int = 0  #: open callbacks and voicemail
    callbacks_overdue: int = 0
    cut_off: int = 0  #: by a fault from a consultant: to be decided whether they are called back
    not_honoured: int = 0
    other_language: int = 0
    refused: int = 0
    names: Mapping[str, str] = field(default_factory=dict)
    reasons: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    marks: int = 0
    marked: int = 0
    calls: Mapping[str, AppealSummary] = field(default_factory=dict)
    written: WrittenQueue = NOTHING_WRITTEN


@dataclass(frozen=True, slots=True)
class WaitingFigures:
    """The number of waiting callers, and the longest wait; None: nobody waits.

    `urgent` are those in danger, or who cannot speak.
    """

    count: int
    longest: int | None
    urgent: int = 0


@dataclass(frozen=True, slots=True)
class LanguageQueue:
    """Waiting callers of a language, and the free consultants of that language."""

    waiting: WaitingFigures
    free: int


@dataclass(frozen=True, slots=True)
class ConsultantFigures:
    """A consultant: `why` no call is offered (None: one is), `reason` of a pause, seconds.

    `next` is the group after the conversation, where that was requested.
    """

    extension: str
    name: str | None
    group: str
    why: str | None
    reason: str | None
    for_s: int
    next: str | None = None


@dataclass(frozen=True, slots=True)
class DistributorFigures:
    """Figures of the ACD now; `alerts` are the gravest first."""

    waiting: WaitingFigures
    languages: Mapping[str, LanguageQueue]
    groups: Mapping[str, int]
    consultants: Sequence[ConsultantFigures]
    controllers: int
    alerts: Annotated[Sequence[AlertGroup], Field(serialization_alias="alarms")]


@dataclass(frozen=True, slots=True)
class TodayFigures:
    """Calls since midnight in Asia/Almaty; `answered_in_time` waited the goal at most.

    `marks` callers judged their conversations, from 1 to 5; `average_mark` has two decimals.
    `language_not_honoured`: the caller heard that nobody at work spoke the language;
    `other_language`: agreed to another one, and talked in it. `refused` the switch could not serve
    (R25), mostly for want of a codec: those without an appeal are not among `calls`.
    """

    calls: int
    in_progress: int
    answered: int
    answered_in_time: int
    abandoned: int
    language_not_honoured: int
    other_language: int
    refused: int
    outcomes: Mapping[str, int]
    marks: int
    average_mark: float | None
    callbacks: int  #: open callbacks and voicemail, of any day
    callbacks_overdue: int  #: of these, due for half an hour and more
    cut_off: int  #: callers whom a fault cut off: somebody has to decide whether to call back
    written: int  #: written contacts that nobody has read, of any day
    written_urgent: int  #: of these, of writers in danger
    written_overdue: int  #: of these, that should have been read by now
    written_longest: int | None  #: seconds for which one of these waits at most; none: nobody does
    written_in_hand: int  #: written contacts that somebody has read and works on


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures at the moment `at`; None: unknown now.

    `history` is the most callers who waited in each ten seconds of the last ten minutes, the
    newest last; None where it was unknown. `reasons` are the center's names for reasons of
    pauses, by code and language. `answer_goal` are the seconds of the service level.
    """

    at: float
    acd: Annotated[DistributorFigures | None, Field(serialization_alias="desk")]
    today: TodayFigures | None
    history: Sequence[int | None]
    reasons: Mapping[str, Mapping[str, str]]
    answer_goal: int


def figures(
    at: float,
    acd: DistributorSnapshot | None,
    today: TodayNow | None,
    history: Sequence[int | None],
    answer_goal: int,
) -> Figures:
    """Compute the figures; a part that was not read stays unknown."""
    names = today.names if today else {}
    return Figures(
        at=at,
        acd=None if acd is None else _distributor_figures(acd, names, today.calls if today else {}),
        today=None if today is None else _today(today, at),
        history=history,
        reasons=today.reasons if today else {},
        answer_goal=answer_goal,
    )


def is_line_silent(silence: timedelta, earlier_weeks: Sequence[int]) -> bool:
    """Whether no call came in for much longer than usual at this hour of the week.

    `earlier_weeks` are the calls of the same stretch of the week, one number for each week that is
    known. Their median counts: a week with an outage or a holiday is not the usual one.
    """
    return (
        silence >= LEAST_SILENCE
        and len(earlier_weeks) >= LEAST_WEEKS
        and median_low(earlier_weeks) >= USUAL_CALLS
    )


def is_urgent(call: WaitingCall, appeal: AppealSummary | None) -> bool:
    """Whether the caller is in danger or cannot speak; else by the queue."""
    return call.goes_first if appeal is None else bool(appeal.urgent)


def _distributor_figures(
    acd: DistributorSnapshot, names: Mapping[str, str], appeals: Mapping[str, AppealSummary]
) -> DistributorFigures:
    consultants = [_consultant_figures(acd, status, names) for status in acd.statuses]
    counted = Counter(each.group for each in consultants)
    free = [each.extension for each in consultants if each.group == "free"]
    return DistributorFigures(
        waiting=_waiting(acd, acd.waiting, appeals),
        languages={
            language: LanguageQueue(
                waiting=_waiting(acd, [c for c in acd.waiting if c.language == language], appeals),
                free=sum(language in acd.languages.get(each, ()) for each in free),
            )
            for language in CALLER_LANGUAGES
        },
        groups={group: counted[group] for group in GROUPS},
        consultants=consultants,
        controllers=acd.controllers,
        alerts=acd.alerts,
    )


def _waiting(
    acd: DistributorSnapshot, calls: Sequence[WaitingCall], appeals: Mapping[str, AppealSummary]
) -> WaitingFigures:
    # Clocks of two machines differ: a wait is never negative.
    waits = [max(0, math.floor(acd.at - call.arrived)) for call in calls]
    urgent = sum(is_urgent(call, appeals.get(call.call)) for call in calls)
    return WaitingFigures(len(waits), max(waits, default=None), urgent)


def _consultant_figures(
    acd: DistributorSnapshot, status: PresenceStatus, names: Mapping[str, str]
) -> ConsultantFigures:
    why = why_no_calls(status)
    return ConsultantFigures(
        extension=status.extension,
        name=names.get(status.extension),
        group=_GROUP_OF[why],
        why=why,
        reason=status.reason,
        for_s=max(0, math.floor(acd.at - status.since)) if status.since else 0,
        next=_GROUP_OF[status.after.value] if status.after else None,
    )


def _today(today: TodayNow, at: float) -> TodayFigures:
    written = today.written
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
        refused=today.refused,
        outcomes=dict(sorted(outcomes.items(), key=lambda item: (-item[1], item[0]))),
        marks=today.marks,
        average_mark=round(today.marked / today.marks, 2) if today.marks else None,
        written=written.waiting,
        written_urgent=written.urgent,
        written_overdue=written.overdue,
        written_longest=max(0, math.floor(at - written.oldest.timestamp()))
        if written.oldest
        else None,
        written_in_hand=sum(each.is_in_hand for each in written.held),
    )


class History:
    """The number of waiting callers in the last ten minutes, in bars of ten seconds."""

    def __init__(self) -> None:
        self._bars: deque[tuple[int, int | None]] = deque(maxlen=BARS)

    def put(self, at: float, waiting: int | None) -> None:
        """Add the number of waiting callers at a moment (epoch seconds); None: unknown."""
        bar = math.floor(at / BAR)
        if self._bars and self._bars[-1][0] == bar:
            before = self._bars[-1][1]
            counts = [count for count in (before, waiting) if count is not None]
            self._bars[-1] = (bar, max(counts, default=None))
        else:
            self._bars.append((bar, waiting))

    def bars(self, at: float) -> list[int | None]:
        """The most that waited in each bar up to this moment, the newest last."""
        counts = dict(self._bars)
        newest = math.floor(at / BAR)
        return [counts.get(bar) for bar in range(newest - BARS + 1, newest + 1)]
