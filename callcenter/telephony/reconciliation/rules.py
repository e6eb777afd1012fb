"""Comparison of the register with CEL and the recorded files. Pure, without I/O."""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from operator import attrgetter
from uuid import UUID

from callcenter.platform.core.timezone import ZONE
from callcenter.telephony.calls.outcomes import Outcome
from callcenter.telephony.outbound.rules import ORIGINATE_TIMEOUT
from callcenter.telephony.reconciliation.cel_calls import CallRole, CelCall, TalkSpan

TOLERANCE = timedelta(seconds=2)  # more than this is a discrepancy

# An outbound call has the id of its leg once that has answered; until then an id of our own: that
# of a message is of versions that called from one.
_OWN_ID_PREFIXES = ("outgoing-", "callback-", "message-")
#: Asterisk has no id for a call that it refused: ours is this and a hash of its Call-ID.
REFUSED_PREFIX = "refused-"
_WITHOUT_FILE = {"failed", "empty"}  # recordings
_BEGAN_AT = attrgetter("began_at")
_ANSWERED = {Outcome.TALKED, Outcome.REDIRECTED, Outcome.DECLINED}


class DiscrepancyKind(StrEnum):
    """The kind of a discrepancy. Its value is shown to operators."""

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
    CALL_NOT_ENDED = "call not ended"
    RECORDING_NOT_ENDED = "recording not ended"
    RECORDING_TOO_LATE = "recording ends too late"
    LINES_UNREADABLE = "lines unreadable"


@dataclass(frozen=True, slots=True)
class RegisteredCall:
    """A call of the register: the one that opened its appeal (`ordinal` 0), or one of ours.

    `outgoing_id` is the id of one of ours.
    """

    appeal_id: UUID
    ordinal: int
    call_id: str
    began_at: datetime
    ended_at: datetime | None
    outcome: str | None
    outgoing_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class RegisteredRecording:
    """A recording of the register; `length` is that of its file, None when it has none."""

    id: UUID
    appeal_id: UUID
    state: str
    began_at: datetime
    ended_at: datetime | None
    length: timedelta | None

    @property
    def is_there(self) -> bool:
        """Whether it has what was said, or had it until it was erased: nothing, when empty."""
        return self.state in ("empty", "erased") or (
            self.length is not None and self.state != "failed"
        )

    @property
    def reaches_to(self) -> datetime | None:
        """Its end, or that of its file while the register has none."""
        if self.ended_at is None and self.length is not None:
            return self.began_at + self.length
        return self.ended_at


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """A difference. `subject` is the id of a call or recording, or a file's name: no number."""

    kind: DiscrepancyKind
    subject: str
    why: str
    call: CelCall | None = None
    row: RegisteredCall | None = None
    recording: RegisteredRecording | None = None


@dataclass(frozen=True, slots=True)
class ReconciliationSnapshot:
    """Both sides of the comparison, for calls that began from `since` to `until`.

    `live_channels` are Asterisk's channels now; None: unknown, then a call without an end is in
    progress.
    `connected` are the times of appeals' events at which conversations began.
    """

    since: datetime
    until: datetime
    switch: Sequence[CelCall]
    live_channels: Collection[str] | None
    register: Sequence[RegisteredCall]
    connected: Mapping[UUID, Sequence[datetime]] = field(default_factory=dict)
    recordings: Sequence[RegisteredRecording] = ()
    unregistered_files: Sequence[str] = ()  #: files without a recording of the register
    unreadable_lines: int = 0  #: of the CEL files

    def is_due(self, began_at: datetime) -> bool:
        return self.since <= began_at < self.until

    def is_in_progress(self, call: CelCall) -> bool:
        """True for a call in progress at `until`, also one that has ended since."""
        if call.ended_at is None:
            return self.live_channels is None or not call.legs.isdisjoint(self.live_channels)
        return call.ended_at >= self.until


def find(snapshot: ReconciliationSnapshot) -> list[Discrepancy]:
    """Every discrepancy: of calls first, then of recordings and files."""
    pairs = _match_calls(snapshot)
    recordings: dict[UUID, list[RegisteredRecording]] = {}
    for each in snapshot.recordings:
        recordings.setdefault(each.appeal_id, []).append(each)
    found = [*_find_unmatched(snapshot, pairs)]
    for call, row in pairs:
        if snapshot.is_due(call.began_at) and not snapshot.is_in_progress(call):
            found += _compare_times(call, row)
            found += _compare_events(snapshot, call, row)
            found += _find_unrecorded(call, row, recordings.get(row.appeal_id, ()))
    found += _compare_recordings(snapshot, pairs)
    found += [
        Discrepancy(
            DiscrepancyKind.FILE_WITHOUT_RECORDING, name, "no recording of the register has it"
        )
        for name in snapshot.unregistered_files
    ]
    if snapshot.unreadable_lines:
        why = f"{snapshot.unreadable_lines} lines of the CEL files cannot be read"
        found.append(Discrepancy(DiscrepancyKind.LINES_UNREADABLE, "ledger", why))
    return found


Pairs = Sequence[tuple[CelCall, RegisteredCall]]


def _match_calls(snapshot: ReconciliationSnapshot) -> Pairs:
    """Match calls of CEL with those of the register: by a leg, else by the time.

    By the time only calls of ours that nobody answered: those have no leg in the register.
    """
    by_leg = {leg: call for call in snapshot.switch for leg in call.legs}
    pairs = [(by_leg[row.call_id], row) for row in snapshot.register if row.call_id in by_leg]
    paired = {call.call_id for call, _ in pairs}
    rows = sorted((row for row in snapshot.register if _is_without_leg(row)), key=_BEGAN_AT)
    calls = [
        call for call in snapshot.switch if call.role is CallRole.OUT and call.call_id not in paired
    ]
    for call in sorted(calls, key=_BEGAN_AT):
        row = _find_nearest(call, rows)
        if row is not None:
            pairs.append((call, row))
            rows.remove(row)
    return pairs


def _is_without_leg(row: RegisteredCall) -> bool:
    return row.call_id.startswith(_OWN_ID_PREFIXES) and row.ordinal > 0


def _find_nearest(call: CelCall, rows: Sequence[RegisteredCall]) -> RegisteredCall | None:
    """The row that may be this call and began nearest to it.

    `rows` are ordered by their beginning.
    """
    since, until = call.began_at - ORIGINATE_TIMEOUT - TOLERANCE, call.began_at + TOLERANCE
    near = rows[bisect_left(rows, since, key=_BEGAN_AT) : bisect_right(rows, until, key=_BEGAN_AT)]
    possible = [row for row in near if call.began_at <= (row.ended_at or until) + TOLERANCE]
    return min(possible, key=lambda row: abs(row.began_at - call.began_at), default=None)


def is_certain(call: CelCall, row: RegisteredCall) -> bool:
    """Whether a call of CEL is that of the register: by its leg, or as both began at once."""
    return row.call_id in call.legs or _is_close(call.began_at, row.began_at)


def _find_unmatched(snapshot: ReconciliationSnapshot, pairs: Pairs) -> Iterator[Discrepancy]:
    calls = {call.call_id for call, _ in pairs}
    for call in snapshot.switch:
        due = snapshot.is_due(call.began_at) and not snapshot.is_in_progress(call)
        if due and call.role in (CallRole.IN, CallRole.OUT) and call.call_id not in calls:
            why = f"a call {call.role} began at {_clock(call.began_at)}"
            yield Discrepancy(DiscrepancyKind.CALL_WITHOUT_APPEAL, call.call_id, why, call=call)
    rows = {(row.appeal_id, row.ordinal) for _, row in pairs}
    for row in snapshot.register:
        if not snapshot.is_due(row.began_at) or (row.appeal_id, row.ordinal) in rows:
            continue
        if _is_without_leg(row) and row.outcome not in _ANSWERED:
            continue  # nobody answered, and perhaps no leg was ever made
        if row.call_id.startswith(REFUSED_PREFIX):
            continue  # Asterisk made no channel
        why = f"Asterisk has no such call at {_clock(row.began_at)}"
        yield Discrepancy(DiscrepancyKind.APPEAL_WITHOUT_CALL, row.call_id, why, row=row)


def _compare_times(call: CelCall, row: RegisteredCall) -> Iterator[Discrepancy]:
    if not _is_close(call.began_at, row.began_at):
        why = f"began at {_clock(call.began_at)}, in the register at {_clock(row.began_at)}"
        yield Discrepancy(DiscrepancyKind.TIMES_DISAGREE, call.call_id, why, call, row)
    if call.ended_at is None:
        return
    if row.ended_at is None:
        why = f"ended at {_clock(call.ended_at)}, and goes on in the register"
        yield Discrepancy(DiscrepancyKind.CALL_NOT_ENDED, call.call_id, why, call, row)
    elif not _is_close(call.ended_at, row.ended_at):
        why = f"ended at {_clock(call.ended_at)}, in the register at {_clock(row.ended_at)}"
        yield Discrepancy(DiscrepancyKind.END_DISAGREES, call.call_id, why, call, row)


def _compare_events(
    snapshot: ReconciliationSnapshot, call: CelCall, row: RegisteredCall
) -> Iterator[Discrepancy]:
    end = call.ended_at or call.last_at
    moments = [
        at
        for at in snapshot.connected.get(row.appeal_id, ())
        if call.began_at - TOLERANCE <= at <= end + TOLERANCE
    ]
    first = next((each for each in call.conversations if _is_long(each)), None)
    if first is not None and not moments:
        why = f"with {first.consultant} from {_clock(first.began_at)}, which the journal lacks"
        yield Discrepancy(DiscrepancyKind.CONVERSATION_WITHOUT_MOMENT, call.call_id, why, call, row)
    for at in moments:
        if not any(_overlaps(each, at, at) for each in call.conversations):
            why = f"the journal has one at {_clock(at)}, Asterisk has none"
            yield Discrepancy(
                DiscrepancyKind.MOMENT_WITHOUT_CONVERSATION, call.call_id, why, call, row
            )


def _find_unrecorded(
    call: CelCall, row: RegisteredCall, recordings: Iterable[RegisteredRecording]
) -> Iterator[Discrepancy]:
    """`recordings` are those of its appeal."""
    covers = sorted(
        (each.began_at, ended_at)
        for each in recordings
        if each.is_there and (ended_at := each.reaches_to) is not None
    )
    for span in call.conversations:
        missing = _uncovered(span, covers)
        if missing > TOLERANCE:
            why = (
                f"{missing.total_seconds():.1f} s of the one with {span.consultant} "
                f"from {_clock(span.began_at)} have no recording"
            )
            yield Discrepancy(
                DiscrepancyKind.CONVERSATION_WITHOUT_RECORDING, call.call_id, why, call, row
            )


def _uncovered(span: TalkSpan, covers: Iterable[tuple[datetime, datetime]]) -> timedelta:
    """The time of a conversation without a recording; `covers` are ordered by their start."""
    missing, reached = timedelta(), span.began_at
    for began_at, ended_at in covers:
        missing += max(min(began_at, span.ended_at) - reached, timedelta())
        reached = max(reached, min(ended_at, span.ended_at))
    return missing + max(span.ended_at - reached, timedelta())


def _compare_recordings(snapshot: ReconciliationSnapshot, pairs: Pairs) -> Iterator[Discrepancy]:
    of_appeal: dict[UUID, list[tuple[CelCall, RegisteredCall]]] = {}
    for call, row in pairs:
        of_appeal.setdefault(row.appeal_id, []).append((call, row))
    for each in snapshot.recordings:
        mine = of_appeal.get(each.appeal_id, ())
        is_in_progress = any(snapshot.is_in_progress(call) for call, _ in mine)
        if (
            snapshot.is_due(each.began_at)
            and not is_in_progress
            and each.state not in _WITHOUT_FILE
        ):
            yield from _compare_recording(each, mine)


def _compare_recording(each: RegisteredRecording, mine: Pairs) -> Iterator[Discrepancy]:
    """`mine` are the calls of its appeal."""
    subject = str(each.id)
    if each.length is None and each.state != "erased":
        why = f"{each.state} in the register, and its file is not there"
        yield Discrepancy(DiscrepancyKind.RECORDING_WITHOUT_FILE, subject, why)
    if each.ended_at is None:
        why = "still runs in the register, and its call is over"
        call, row = _find_call(each, mine)
        yield Discrepancy(DiscrepancyKind.RECORDING_NOT_ENDED, subject, why, call, row, each)
        return
    ended_at = each.ended_at
    for call, row in mine:
        last, why = _latest_end(each, call, row)
        if last < ended_at:
            if not _is_close(last, ended_at):
                why = f"{why} {_clock(last)}, it at {_clock(ended_at)}"
                yield Discrepancy(DiscrepancyKind.RECORDING_TOO_LATE, subject, why, call, row, each)
            ended_at = last
    length = ended_at - each.began_at
    if each.length is not None and abs(each.length - length) > TOLERANCE:
        why = (
            f"its file lasts {each.length.total_seconds():.1f} s, "
            f"in the register {length.total_seconds():.1f} s"
        )
        yield Discrepancy(DiscrepancyKind.TIMES_DISAGREE, subject, why)
    spans = [span for call, _ in mine for span in call.conversations]
    if length > TOLERANCE and not any(_overlaps(span, each.began_at, ended_at) for span in spans):
        why = f"from {_clock(each.began_at)}, when Asterisk has no conversation of its appeal"
        yield Discrepancy(DiscrepancyKind.RECORDING_WITHOUT_CONVERSATION, subject, why)


def _find_call(
    each: RegisteredRecording, mine: Pairs
) -> tuple[CelCall, RegisteredCall] | tuple[None, None]:
    """The call of its appeal in which a recording began."""
    begun = [pair for pair in mine if pair[0].began_at <= each.began_at + TOLERANCE]
    return max(begun, key=lambda pair: pair[0].began_at, default=(None, None))


def _latest_end(
    each: RegisteredRecording, call: CelCall, row: RegisteredCall
) -> tuple[datetime, str]:
    """The latest possible end of a recording of a call, and its evidence."""
    if call.ended_at is not None:  # as after a controller was away for a while
        if call.began_at <= each.began_at <= call.ended_at:
            return call.ended_at, "its call ended at"
    elif each.length is not None and row.outcome == Outcome.LOST_TO_A_FAULT:
        return each.began_at + each.length, "Asterisk crashed, its file ends at"
    return datetime.max.replace(tzinfo=UTC), ""


def _is_close(one: datetime, other: datetime) -> bool:
    return abs(one - other) <= TOLERANCE


def _is_long(span: TalkSpan) -> bool:
    return span.ended_at - span.began_at > TOLERANCE


def _overlaps(span: TalkSpan, began_at: datetime, ended_at: datetime) -> bool:
    return span.began_at - TOLERANCE <= ended_at and began_at <= span.ended_at + TOLERANCE


def _clock(at: datetime) -> str:
    return f"{at.astimezone(ZONE):%Y-%m-%d %H:%M:%S}"
