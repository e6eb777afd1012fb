"""How the register may differ from what the switch says and the disk holds. A rule, without I/O."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from uuid import UUID
from zoneinfo import ZoneInfo

from callcenter.ledger.heard import Span, SwitchCall, Way
from callcenter.line.outcomes import Outcome

TOLERANCE = timedelta(seconds=2)  # more than this is a difference
ZONE = ZoneInfo("Asia/Almaty")

# Who called a number is known by a leg once it has answered; until then the id is a name of ours.
_NO_LEG = ("outgoing-", "callback-", "message-")
_WITH_A_LEG = {Outcome.TALKED, Outcome.REDIRECTED, Outcome.DECLINED}


class Kind(StrEnum):
    """What a difference is. Its value is said to operators."""

    CALL_WITHOUT_APPEAL = "call without appeal"
    APPEAL_WITHOUT_CALL = "appeal without call"
    CONVERSATION_WITHOUT_RECORDING = "conversation without recording"
    RECORDING_WITHOUT_CONVERSATION = "recording without conversation"
    RECORDING_WITHOUT_FILE = "recording without file"
    FILE_WITHOUT_RECORDING = "file without recording"
    CONVERSATION_WITHOUT_MOMENT = "conversation without moment"
    MOMENT_WITHOUT_CONVERSATION = "moment without conversation"
    TIMES_DISAGREE = "times disagree"
    END_DISAGREES = "end disagrees"
    RECORDING_TOO_LATE = "recording ends too late"
    LINES_UNREADABLE = "lines unreadable"


@dataclass(frozen=True, slots=True)
class Registered:
    """A call of the register: the one that opened its appeal (`ordinal` 0), or one of ours."""

    appeal_id: UUID
    ordinal: int
    call_id: str
    began_at: datetime
    ended_at: datetime | None
    outcome: str | None


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recording of the register; `length` is that of its file, None when it has none."""

    id: UUID
    appeal_id: UUID
    state: str
    began_at: datetime
    ended_at: datetime | None
    length: timedelta | None

    @property
    def is_there(self) -> bool:
        return self.length is not None and self.state != "failed"


@dataclass(frozen=True, slots=True)
class Difference:
    """`subject` is a call, a recording or a file by its id or name: never anybody's number."""

    kind: Kind
    subject: str
    why: str
    call: SwitchCall | None = None
    row: Registered | None = None
    recording: Recorded | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """All that is compared, for calls that began from `since` to `until`.

    `live` are the switch's channels now; None: nobody knows, and a call without an end goes on.
    `connected` are the moments of appeals at which conversations began.
    """

    since: datetime
    until: datetime
    switch: Sequence[SwitchCall]
    live: Collection[str] | None
    register: Sequence[Registered]
    connected: Mapping[UUID, Sequence[datetime]] = field(default_factory=dict)
    recordings: Sequence[Recorded] = ()
    loose: Sequence[str] = ()  #: files that no recording of the register knows
    unreadable: int = 0  #: lines of the ledger

    def is_due(self, began_at: datetime) -> bool:
        return self.since <= began_at < self.until

    def goes_on(self, call: SwitchCall) -> bool:
        """Also one that has ended only since."""
        if call.ended_at is None:
            return self.live is None or not call.legs.isdisjoint(self.live)
        return call.ended_at >= self.until


def find(told: Told) -> list[Difference]:
    """Every difference, in the order of kinds of questions: calls, then what was recorded."""
    pairs = _pairs(told)
    recordings: dict[UUID, list[Recorded]] = {}
    for each in told.recordings:
        recordings.setdefault(each.appeal_id, []).append(each)
    found = [*_without_partner(told, pairs)]
    for call, row in pairs:
        if told.is_due(call.began_at) and not told.goes_on(call):
            found += _of_times(call, row)
            found += _of_moments(told, call, row)
            found += _unrecorded(call, row, recordings.get(row.appeal_id, ()))
    found += _of_recordings(told, pairs)
    found += [
        Difference(Kind.FILE_WITHOUT_RECORDING, name, "no recording of the register has it")
        for name in told.loose
    ]
    if told.unreadable:
        why = f"{told.unreadable} lines of the switch's ledger cannot be read"
        found.append(Difference(Kind.LINES_UNREADABLE, "ledger", why))
    return found


Pairs = Sequence[tuple[SwitchCall, Registered]]


def _pairs(told: Told) -> Pairs:
    """Which call of the switch is which of the register: by a leg, else by the time.

    By the time only calls of ours that nobody answered: those have no leg in the register.
    """
    by_leg = {leg: call for call in told.switch for leg in call.legs}
    pairs = [(by_leg[row.call_id], row) for row in told.register if row.call_id in by_leg]
    paired = {call.call_id for call, _ in pairs}
    rows = sorted((row for row in told.register if _has_no_leg(row)), key=lambda row: row.began_at)
    calls = [call for call in told.switch if call.way is Way.OUT and call.call_id not in paired]
    for call in sorted(calls, key=lambda call: call.began_at):
        for row in rows:
            if _may_be(call, row):
                pairs.append((call, row))
                rows.remove(row)
                break
    return pairs


def _has_no_leg(row: Registered) -> bool:
    return row.call_id.startswith(_NO_LEG) and row.ordinal > 0


def _may_be(call: SwitchCall, row: Registered) -> bool:
    ended_at = row.ended_at or call.began_at
    return row.began_at - TOLERANCE <= call.began_at <= ended_at + TOLERANCE


def _without_partner(told: Told, pairs: Pairs) -> Iterator[Difference]:
    calls = {call.call_id for call, _ in pairs}
    for call in told.switch:
        due = told.is_due(call.began_at) and not told.goes_on(call)
        if due and call.way in (Way.IN, Way.OUT) and call.call_id not in calls:
            why = f"a call {call.way} began at {_clock(call.began_at)}"
            yield Difference(Kind.CALL_WITHOUT_APPEAL, call.call_id, why, call=call)
    rows = {(row.appeal_id, row.ordinal) for _, row in pairs}
    for row in told.register:
        if not told.is_due(row.began_at) or (row.appeal_id, row.ordinal) in rows:
            continue
        if _has_no_leg(row) and row.outcome not in _WITH_A_LEG:
            continue  # nobody answered, and perhaps no leg was ever made
        why = f"the switch knows no such call at {_clock(row.began_at)}"
        yield Difference(Kind.APPEAL_WITHOUT_CALL, row.call_id, why, row=row)


def _of_times(call: SwitchCall, row: Registered) -> Iterator[Difference]:
    if not _same(call.began_at, row.began_at):
        why = f"began at {_clock(call.began_at)}, in the register at {_clock(row.began_at)}"
        yield Difference(Kind.TIMES_DISAGREE, call.call_id, why, call, row)
    if call.ended_at is None:
        return
    if row.ended_at is None:
        why = f"ended at {_clock(call.ended_at)}, and goes on in the register"
        yield Difference(Kind.TIMES_DISAGREE, call.call_id, why, call, row)
    elif not _same(call.ended_at, row.ended_at):
        why = f"ended at {_clock(call.ended_at)}, in the register at {_clock(row.ended_at)}"
        yield Difference(Kind.END_DISAGREES, call.call_id, why, call, row)


def _of_moments(told: Told, call: SwitchCall, row: Registered) -> Iterator[Difference]:
    end = call.ended_at or call.last_at
    moments = [
        at
        for at in told.connected.get(row.appeal_id, ())
        if call.began_at - TOLERANCE <= at <= end + TOLERANCE
    ]
    first = next((each for each in call.conversations if _is_long(each)), None)
    if first is not None and not moments:
        why = f"with {first.consultant} from {_clock(first.began_at)}, which the journal lacks"
        yield Difference(Kind.CONVERSATION_WITHOUT_MOMENT, call.call_id, why, call, row)
    for at in moments:
        if not any(_touches(each, at, at) for each in call.conversations):
            why = f"the journal has one at {_clock(at)}, the switch has none"
            yield Difference(Kind.MOMENT_WITHOUT_CONVERSATION, call.call_id, why, call, row)


def _unrecorded(
    call: SwitchCall, row: Registered, recordings: Iterable[Recorded]
) -> Iterator[Difference]:
    """`recordings` are those of its appeal."""
    covers = sorted(
        (each.began_at, each.ended_at)
        for each in recordings
        if each.is_there and each.ended_at is not None
    )
    for span in call.conversations:
        missing = _uncovered(span, covers)
        if missing > TOLERANCE:
            why = (
                f"{missing.total_seconds():.1f} s of the one with {span.consultant} "
                f"from {_clock(span.began_at)} have no recording"
            )
            yield Difference(Kind.CONVERSATION_WITHOUT_RECORDING, call.call_id, why, call, row)


def _uncovered(span: Span, covers: Iterable[tuple[datetime, datetime]]) -> timedelta:
    """How much of a conversation no recording covers; `covers` are in the order of their start."""
    missing, reached = timedelta(), span.began_at
    for began_at, ended_at in covers:
        missing += max(min(began_at, span.ended_at) - reached, timedelta())
        reached = max(reached, min(ended_at, span.ended_at))
    return missing + max(span.ended_at - reached, timedelta())


def _of_recordings(told: Told, pairs: Pairs) -> Iterator[Difference]:
    of_appeal: dict[UUID, list[tuple[SwitchCall, Registered]]] = {}
    for call, row in pairs:
        of_appeal.setdefault(row.appeal_id, []).append((call, row))
    for each in told.recordings:
        mine = of_appeal.get(each.appeal_id, ())
        goes_on = any(told.goes_on(call) for call, _ in mine)
        if told.is_due(each.began_at) and not goes_on and each.state != "failed":
            yield from _of_recording(each, mine)


def _of_recording(each: Recorded, mine: Pairs) -> Iterator[Difference]:
    """`mine` are the calls of its appeal."""
    subject = str(each.id)
    if each.length is None:
        why = f"{each.state} in the register, and its file is not there"
        yield Difference(Kind.RECORDING_WITHOUT_FILE, subject, why)
    if each.ended_at is None:
        why = "still runs in the register, and its call is over"
        yield Difference(Kind.TIMES_DISAGREE, subject, why)
        return
    ended_at = each.ended_at
    for call, row in mine:
        last, why = _latest_end(each, call, row)
        if last < ended_at:
            if not _same(last, ended_at):
                why = f"{why} {_clock(last)}, it at {_clock(ended_at)}"
                yield Difference(Kind.RECORDING_TOO_LATE, subject, why, call, row, each)
            ended_at = last
    length = ended_at - each.began_at
    if each.length is not None and abs(each.length - length) > TOLERANCE:
        why = (
            f"its file lasts {each.length.total_seconds():.1f} s, "
            f"in the register {length.total_seconds():.1f} s"
        )
        yield Difference(Kind.TIMES_DISAGREE, subject, why)
    spans = [span for call, _ in mine for span in call.conversations]
    if length > TOLERANCE and not any(_touches(span, each.began_at, ended_at) for span in spans):
        why = f"from {_clock(each.began_at)}, when the switch has no conversation of its appeal"
        yield Difference(Kind.RECORDING_WITHOUT_CONVERSATION, subject, why)


def _latest_end(each: Recorded, call: SwitchCall, row: Registered) -> tuple[datetime, str]:
    """When this recording of a call must have ended at the latest, and what says so."""
    if call.ended_at is not None:  # as after a controller was away for a while
        if call.began_at <= each.began_at <= call.ended_at:
            return call.ended_at, "its call ended at"
    elif each.length is not None and row.outcome == Outcome.LOST_TO_A_FAULT:
        return each.began_at + each.length, "the switch died, its file ends at"
    return datetime.max.replace(tzinfo=UTC), ""


def _same(one: datetime, other: datetime) -> bool:
    return abs(one - other) <= TOLERANCE


def _is_long(span: Span) -> bool:
    return span.ended_at - span.began_at > TOLERANCE


def _touches(span: Span, began_at: datetime, ended_at: datetime) -> bool:
    return span.began_at - TOLERANCE <= ended_at and began_at <= span.ended_at + TOLERANCE


def _clock(at: datetime) -> str:
    return f"{at.astimezone(ZONE):%Y-%m-%d %H:%M:%S}"
