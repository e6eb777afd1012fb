"""Call board: conversations and waiting calls, one by one, for supervisors.

Times are in seconds. Data of an appeal that is not written yet, or cannot be read now, is None.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from callcenter.consultants.rules.states import PresenceState
from callcenter.telephony.acd.paused_queues import QueuePause
from callcenter.wallboard.rules import AppealSummary, DistributorSnapshot, TodayNow, is_urgent


@dataclass(frozen=True, slots=True)
class OngoingCall:
    """A conversation of a consultant, and its length in seconds."""

    consultant: str
    name: str | None
    for_s: int
    register: AppealSummary | None
    urgent: bool


@dataclass(frozen=True, slots=True)
class QueuedCall:
    """A waiting call, its language, and the seconds since it arrived."""

    call: str
    language: str
    for_s: int
    register: AppealSummary | None
    urgent: bool


@dataclass(frozen=True, slots=True)
class CallBoard:
    """The board at one moment: who is in danger or cannot speak first, then the longest."""

    talks: Sequence[OngoingCall]
    waiting: Sequence[QueuedCall]
    holds: Sequence[QueuePause]


def build_call_board(acd: DistributorSnapshot | None, today: TodayNow | None) -> CallBoard | None:
    """The call board from what was read; None when the ACD is unknown."""
    if acd is None:
        return None
    calls: Mapping[str, AppealSummary] = today.calls if today else {}
    names = today.names if today else {}
    talks = []
    for status in acd.statuses:
        if status.state is PresenceState.TALKING:
            appeal = calls.get(acd.holders.get(status.extension, ""))
            talks.append(
                OngoingCall(
                    status.extension,
                    names.get(status.extension),
                    _seconds(acd.at - status.since),
                    appeal,
                    urgent=bool(appeal and appeal.urgent),
                )
            )
    waiting = [
        QueuedCall(
            each.call,
            each.language,
            _seconds(acd.at - each.arrived),
            calls.get(each.call),
            urgent=is_urgent(each, calls.get(each.call)),
        )
        for each in acd.waiting
    ]
    return CallBoard(
        talks=sorted(talks, key=lambda talk: (not talk.urgent, -talk.for_s)),
        waiting=sorted(waiting, key=lambda wait: (not wait.urgent, -wait.for_s)),
        holds=acd.holds,
    )


def _seconds(length: float) -> int:
    return max(0, math.floor(length))
