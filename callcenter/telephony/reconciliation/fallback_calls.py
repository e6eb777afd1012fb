"""Assembles CEL lines into calls to 111 with events and outcome (R25). Pure, without I/O.

CEL has every call, also those that a controller served and recorded itself; which
of them need an appeal from here is decided in `callcenter.telephony.reconciliation.backfill`.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from callcenter.platform.core.caller_id import UNREADABLE, CallerId, parse_caller_id
from callcenter.telephony.calls.outcomes import CallEvent, Outcome, Urgency
from callcenter.telephony.reconciliation.cel import CelEvent

_ENDPOINT = re.compile(r"PJSIP/(.+)-[0-9a-f]{8}")
_EXTENSION = re.compile(r"[0-9]{3,6}")
_UNIFIED_CENTER = "unified-center"
_RECORDING_NOTICE, _REDIRECT_NOTICE = "recording_notice", "transfer_ecc"
#: The causes that the dialplan marks; none for a call that a controller gave away.
_WHY_FALLBACK = {
    "TIMEOUT": "not_claimed",
    "FAILED": "not_claimed",
    "STRANDED": "stranded",
    "OVERLOADED": "overloaded",
}
_URGENCIES = {each.name: each for each in Urgency}
_WHY_NOT_TAKEN = {
    "BUSY": "busy",
    "CHANUNAVAIL": "unreachable",
    "CONGESTION": "congestion",
    "NOANSWER": "no_answer",
}


@dataclass(frozen=True, slots=True)
class FallbackEvent:
    """An event of a call, at its original time."""

    moment: CallEvent
    at: datetime
    detail: dict[str, str | bool] = field(default_factory=dict)


@dataclass(slots=True)
class FallbackConversation:
    """A conversation with a consultant in the fallback; no end: Asterisk crashed."""

    consultant: str
    began_at: datetime
    ended_at: datetime | None = None


@dataclass(slots=True)
class FallbackCall:
    """A call to 111 after the lines read so far. `call_id` is that of its appeal."""

    call_id: str
    caller: CallerId
    received_at: datetime
    last_at: datetime
    ended_at: datetime | None = None
    moments: list[FallbackEvent] = field(default_factory=list)
    notices: set[str] = field(default_factory=set)
    talk: FallbackConversation | None = None

    def note(self, moment: CallEvent, at: datetime, **detail: str | bool) -> None:
        """Add an event, once: a line may be read again."""
        happened = FallbackEvent(moment, at, detail)
        if happened not in self.moments:
            self.moments.append(happened)

    def has(self, moment: CallEvent) -> bool:
        return any(each.moment is moment for each in self.moments)

    @property
    def in_fallback(self) -> bool:
        """True if the dialplan served it, from the beginning or in the end."""
        return self.has(CallEvent.FALLBACK)

    @property
    def since_fallback(self) -> list[FallbackEvent]:
        """The events that no controller can have saved."""
        kinds = [each.moment for each in self.moments]
        return self.moments[kinds.index(CallEvent.FALLBACK) :] if self.in_fallback else []

    @property
    def urgencies(self) -> list[str]:
        """Signals of the caller to the dialplan, in the order of telling."""
        return [str(m.detail["reason"]) for m in self.moments if m.moment is CallEvent.URGENT]

    @property
    def outcome(self) -> Outcome:
        """The outcome of an ended call without a saved one.

        Its end is missing when Asterisk crashed.
        """
        if self.ended_at is None or self.has(CallEvent.REFUSED):
            return Outcome.LOST_TO_A_FAULT
        if self.has(CallEvent.REDIRECTED):
            return Outcome.REDIRECTED
        if self.in_fallback:
            return Outcome.FALLBACK
        if self.has(CallEvent.CONNECTED):
            return Outcome.TALKED
        if self.has(CallEvent.GREETING):  # by a controller that has left no word of it
            return Outcome.LOST_TO_A_FAULT
        return Outcome.LEFT_IN_GREETING


def outcomes(lines: Iterable[CelEvent]) -> dict[str, Outcome]:
    """The outcomes of ended calls to 111, by their ids, from all lines of them."""
    calls: dict[str, FallbackCall] = {}
    for line in lines:
        take(calls, line)
    return {call.call_id: call.outcome for call in calls.values()}


def take(calls: dict[str, FallbackCall], line: CelEvent) -> FallbackCall | None:
    """Add a line to its call and return that, None when the line is of no call to 111.

    `calls` are those that are open; one that begins with this line is added.
    """
    call = calls.get(line.call_id)
    # FALLBACK_ENTERED: the first line of a call may have been lost; its caller is not known then.
    if call is None and line.is_of_caller and line.event in ("RECEIVED", "FALLBACK_ENTERED"):
        call = FallbackCall(line.call_id, UNREADABLE, received_at=line.at, last_at=line.at)
        call.note(CallEvent.RECEIVED, line.at)
        calls[line.call_id] = call
    if call is None or call.ended_at is not None:
        return None
    call.last_at = max(call.last_at, line.at)
    if line.event in _OF_BOTH:
        _OF_BOTH[line.event](call, line)
    elif line.is_of_caller and line.event in _OF_CALLER:
        _OF_CALLER[line.event](call, line)
    return call


def _received(call: FallbackCall, line: CelEvent) -> None:
    call.caller = parse_caller_id(line.extra.get("extra"))


def _answered(call: FallbackCall, line: CelEvent) -> None:
    call.note(CallEvent.ANSWERED, line.at)


def _entered(call: FallbackCall, line: CelEvent) -> None:
    why = _WHY_FALLBACK.get(line.extra.get("extra", ""))
    call.note(CallEvent.FALLBACK, line.at, **({"why": why} if why else {}))


def _prompt_began(call: FallbackCall, line: CelEvent) -> None:
    prompt = line.extra.get("sound", "").rpartition("/")[2]
    if not call.in_fallback:  # only a controller plays something there
        if not call.has(CallEvent.GREETING):
            call.note(CallEvent.GREETING, line.at)
    elif prompt in (_RECORDING_NOTICE, _REDIRECT_NOTICE):
        call.notices.add(prompt)


def _urgent(call: FallbackCall, line: CelEvent) -> None:
    reason = _URGENCIES.get(line.extra.get("extra", ""))
    if reason is not None and reason not in call.urgencies:
        call.note(CallEvent.URGENT, line.at, reason=reason.value)


def _waiting(call: FallbackCall, line: CelEvent) -> None:
    # The dialplan goes on only when a prompt was played to its end, could not be played at all, or
    # was cut by a key of urgency.
    if _RECORDING_NOTICE in call.notices and not call.has(CallEvent.NOTICE):
        call.note(CallEvent.NOTICE, line.at, whole=not call.urgencies)
    call.note(CallEvent.WAITING, line.at)


def _bridged(call: FallbackCall, line: CelEvent) -> None:
    """The two are connected once the second has entered: only then there is a peer."""
    other = line.peer if line.is_of_caller else line.channel
    endpoint = _ENDPOINT.fullmatch(other) if line.peer else None
    if endpoint is None:
        return
    if endpoint[1] == _UNIFIED_CENTER:
        call.note(CallEvent.REDIRECTED, line.at)
    elif _EXTENSION.fullmatch(endpoint[1]):
        call.note(CallEvent.CONNECTED, line.at, consultant=endpoint[1])
        if call.in_fallback:
            call.talk = FallbackConversation(endpoint[1], line.at)


def _unbridged(call: FallbackCall, line: CelEvent) -> None:
    if call.talk is not None and call.talk.ended_at is None:
        call.talk.ended_at = line.at


def _redirecting(call: FallbackCall, line: CelEvent) -> None:
    if _REDIRECT_NOTICE in call.notices:
        call.note(CallEvent.REDIRECT_NOTICE, line.at)
    call.note(CallEvent.REDIRECT_RINGING, line.at)


def _not_redirected(call: FallbackCall, line: CelEvent) -> None:
    why = _WHY_NOT_TAKEN.get(line.extra.get("extra", ""))
    call.note(CallEvent.REDIRECT_FAILED, line.at, **({"why": why} if why else {}))


def _ended(call: FallbackCall, line: CelEvent) -> None:
    call.ended_at = line.at


_OF_CALLER: dict[str, Callable[[FallbackCall, CelEvent], None]] = {
    "RECEIVED": _received,
    "ANSWER": _answered,
    "FALLBACK_ENTERED": _entered,
    "STREAM_BEGIN": _prompt_began,
    "FALLBACK_URGENT": _urgent,
    "FALLBACK_WAITING": _waiting,
    "BRIDGE_EXIT": _unbridged,
    "FALLBACK_REDIRECTING": _redirecting,
    "FALLBACK_REDIRECT_FAILED": _not_redirected,
    "CHAN_END": _ended,
}
_OF_BOTH = {"BRIDGE_ENTER": _bridged}
