"""What the ledger says of a call: its moments, and what became of it (R25). A rule, without I/O.

The ledger tells of every call, also of those that a controller served and wrote down itself; which
of them need an appeal from here is decided in `callcenter.ledger.settling`.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from callcenter.appeals.callers import UNREADABLE, Caller, read_caller
from callcenter.asterisk.ledger import Line
from callcenter.line.outcomes import Moment, Outcome

_ENDPOINT = re.compile(r"PJSIP/(.+)-[0-9a-f]{8}")
_EXTENSION = re.compile(r"[0-9]{3,6}")
_UNIFIED_CENTER = "unified-center"
_RECORDING_NOTICE, _REDIRECT_NOTICE = "recording_notice", "transfer_ecc"
#: What the dialplan says of it; nothing of a call that a controller gave away.
_WHY_FALLBACK = {"TIMEOUT": "not_claimed", "FAILED": "not_claimed", "STRANDED": "stranded"}
_WHY_NOT_TAKEN = {
    "BUSY": "busy",
    "CHANUNAVAIL": "unreachable",
    "CONGESTION": "congestion",
    "NOANSWER": "no_answer",
}


@dataclass(frozen=True, slots=True)
class Happened:
    """A moment of a call, at its original time."""

    moment: Moment
    at: datetime
    detail: dict[str, str | bool] = field(default_factory=dict)


@dataclass(slots=True)
class Talk:
    """A conversation with a consultant in the fallback; no end: the switch died under it."""

    consultant: str
    began_at: datetime
    ended_at: datetime | None = None


@dataclass(slots=True)
class LedgerCall:
    """A call to 111 as far as its lines have been read. `call_id` is that of its appeal."""

    call_id: str
    caller: Caller
    received_at: datetime
    last_at: datetime
    ended_at: datetime | None = None
    moments: list[Happened] = field(default_factory=list)
    notices: set[str] = field(default_factory=set)
    talk: Talk | None = None

    def note(self, moment: Moment, at: datetime, **detail: str | bool) -> None:
        """Add a moment; one that is there stays alone, for a line may be read again."""
        happened = Happened(moment, at, detail)
        if happened not in self.moments:
            self.moments.append(happened)

    def had(self, moment: Moment) -> bool:
        return any(each.moment is moment for each in self.moments)

    @property
    def in_fallback(self) -> bool:
        """Whether the dialplan served it, from the beginning or in the end."""
        return self.had(Moment.FALLBACK)

    @property
    def since_fallback(self) -> list[Happened]:
        """The moments that no controller can have written down."""
        kinds = [each.moment for each in self.moments]
        return self.moments[kinds.index(Moment.FALLBACK) :] if self.in_fallback else []

    @property
    def outcome(self) -> Outcome:
        """What became of a call that is over, when nobody else has said so.

        Its end is missing when the switch died under it.
        """
        if self.ended_at is None:
            return Outcome.LOST_TO_A_FAULT
        if self.had(Moment.REDIRECTED):
            return Outcome.REDIRECTED
        if self.in_fallback:
            return Outcome.FALLBACK
        if self.had(Moment.CONNECTED):
            return Outcome.TALKED
        if self.had(Moment.GREETING):  # by a controller that has left no word of it
            return Outcome.LOST_TO_A_FAULT
        return Outcome.LEFT_IN_GREETING


def outcomes(lines: Iterable[Line]) -> dict[str, Outcome]:
    """What became of calls to 111 that are over, by their ids, from all lines of them."""
    calls: dict[str, LedgerCall] = {}
    for line in lines:
        take(calls, line)
    return {call.call_id: call.outcome for call in calls.values()}


def take(calls: dict[str, LedgerCall], line: Line) -> LedgerCall | None:
    """Add a line to its call and return that, None when the line is of no call to 111.

    `calls` are those that are open; one that begins with this line is added.
    """
    call = calls.get(line.call_id)
    # FALLBACK_ENTERED: the first line of a call may have been lost; its caller is not known then.
    if call is None and line.is_of_caller and line.event in ("RECEIVED", "FALLBACK_ENTERED"):
        call = LedgerCall(line.call_id, UNREADABLE, received_at=line.at, last_at=line.at)
        call.note(Moment.RECEIVED, line.at)
        calls[line.call_id] = call
    if call is None or call.ended_at is not None:
        return None
    call.last_at = max(call.last_at, line.at)
    if line.event in _OF_BOTH:
        _OF_BOTH[line.event](call, line)
    elif line.is_of_caller and line.event in _OF_CALLER:
        _OF_CALLER[line.event](call, line)
    return call


def _received(call: LedgerCall, line: Line) -> None:
    call.caller = read_caller(line.extra.get("extra"))


def _answered(call: LedgerCall, line: Line) -> None:
    call.note(Moment.ANSWERED, line.at)


def _entered(call: LedgerCall, line: Line) -> None:
    why = _WHY_FALLBACK.get(line.extra.get("extra", ""))
    call.note(Moment.FALLBACK, line.at, **({"why": why} if why else {}))


def _prompt_began(call: LedgerCall, line: Line) -> None:
    prompt = line.extra.get("sound", "").rpartition("/")[2]
    if not call.in_fallback:  # only a controller plays something there
        if not call.had(Moment.GREETING):
            call.note(Moment.GREETING, line.at)
    elif prompt in (_RECORDING_NOTICE, _REDIRECT_NOTICE):
        call.notices.add(prompt)


def _waiting(call: LedgerCall, line: Line) -> None:
    # The dialplan goes on only when a prompt was played to its end, or could not be played at all.
    if _RECORDING_NOTICE in call.notices:
        call.note(Moment.NOTICE, line.at, whole=True)
    call.note(Moment.WAITING, line.at)


def _bridged(call: LedgerCall, line: Line) -> None:
    """Two hear each other once the second of them has come in: only then there is a peer."""
    other = line.peer if line.is_of_caller else line.channel
    endpoint = _ENDPOINT.fullmatch(other) if line.peer else None
    if endpoint is None:
        return
    if endpoint[1] == _UNIFIED_CENTER:
        call.note(Moment.REDIRECTED, line.at)
    elif _EXTENSION.fullmatch(endpoint[1]):
        call.note(Moment.CONNECTED, line.at, consultant=endpoint[1])
        if call.in_fallback:
            call.talk = Talk(endpoint[1], line.at)


def _unbridged(call: LedgerCall, line: Line) -> None:
    if call.talk is not None and call.talk.ended_at is None:
        call.talk.ended_at = line.at


def _redirecting(call: LedgerCall, line: Line) -> None:
    if _REDIRECT_NOTICE in call.notices:
        call.note(Moment.REDIRECT_NOTICE, line.at)
    call.note(Moment.REDIRECT_RINGING, line.at)


def _not_redirected(call: LedgerCall, line: Line) -> None:
    why = _WHY_NOT_TAKEN.get(line.extra.get("extra", ""))
    call.note(Moment.REDIRECT_FAILED, line.at, **({"why": why} if why else {}))


def _ended(call: LedgerCall, line: Line) -> None:
    call.ended_at = line.at


_OF_CALLER: dict[str, Callable[[LedgerCall, Line], None]] = {
    "RECEIVED": _received,
    "ANSWER": _answered,
    "FALLBACK_ENTERED": _entered,
    "STREAM_BEGIN": _prompt_began,
    "FALLBACK_WAITING": _waiting,
    "BRIDGE_EXIT": _unbridged,
    "FALLBACK_REDIRECTING": _redirecting,
    "FALLBACK_REDIRECT_FAILED": _not_redirected,
    "CHAN_END": _ended,
}
_OF_BOTH = {"BRIDGE_ENTER": _bridged}
