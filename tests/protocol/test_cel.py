"""CEL read from lines that Asterisk 22.10.1 wrote, and from damaged ones."""

import itertools
import json
import os
import shutil
import tempfile
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callcenter.platform.core.caller_id import UNREADABLE, WITHHELD, CallerId
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from callcenter.telephony.reconciliation import cel_tail
from callcenter.telephony.reconciliation.cel import LONGEST, CelEvent, parse
from callcenter.telephony.reconciliation.cel_tail import START, read
from callcenter.telephony.reconciliation.fallback_calls import FallbackCall, take

RECORDED = Path(__file__).parent / "recorded" / "cel.jsonl"
LINES = RECORDED.read_bytes().splitlines()
TALKED, LEFT_A_TALK, REDIRECTED = "1795534963.0", "1795534966.2", "1795534969.4"
BUSY, LEFT, KILLED = "1795534973.6", "1795534976.8", "1795534977.9"

BEGINNING = [
    CallEvent.RECEIVED,
    CallEvent.FALLBACK,
    CallEvent.ANSWERED,
    CallEvent.NOTICE,
    CallEvent.WAITING,
]
NOTICE_OF_1414 = [*BEGINNING, CallEvent.REDIRECT_NOTICE, CallEvent.REDIRECT_RINGING]


def fold(lines: list[bytes]) -> dict[str, FallbackCall]:
    calls: dict[str, FallbackCall] = {}
    for each in lines:
        line = parse(each)
        if line is not None:
            take(calls, line)
    return calls


def kinds(call: FallbackCall) -> list[CallEvent]:
    return [each.moment for each in call.moments]


def changed(line: bytes, **fields: Any) -> bytes:
    return json.dumps(json.loads(line) | fields).encode()


def of(call_id: str, *events: str) -> list[bytes]:
    """The recorded lines of a call, all or those of these events."""
    lines = [each for each in LINES if json.loads(each)["linkedid"] == call_id]
    return [each for each in lines if not events or json.loads(each)["eventtype"] in events]


# A line


def test_a_line_is_read_whole() -> None:
    assert parse(LINES[1]) == CelEvent(
        at=datetime(2026, 11, 24, 15, 42, 43, 439006, tzinfo=UTC),
        event="RECEIVED",
        channel_id=TALKED,
        call_id=TALKED,
        channel="PJSIP/operator-00000000",
        peer="",
        extra={"extra": "+77010000001"},
    )


def test_every_recorded_line_is_read() -> None:
    assert None not in map(parse, LINES)


@given(st.binary())
def test_no_bytes_make_it_raise(garbage: bytes) -> None:
    parse(garbage)


@given(st.sampled_from(LINES), st.data())
def test_a_line_that_is_cut_short_is_no_line(line: bytes, data: st.DataObject) -> None:
    assert parse(line[: data.draw(st.integers(0, len(line) - 1))]) is None


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.sampled_from(LINES), st.sampled_from(sorted(json.loads(LINES[0]))), VALUES)
def test_no_value_in_any_field_makes_it_raise(line: bytes, name: str, value: object) -> None:
    calls = fold([changed(line, **{name: value}), *LINES])
    assert all(0 < call.received_at.year < 2101 for call in calls.values())


@given(st.lists(st.sampled_from(LINES)))
def test_no_order_of_lines_makes_it_raise(lines: list[bytes]) -> None:
    for call in fold(lines).values():
        assert call.outcome in Outcome


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b"[" * LONGEST,
        b"1" * LONGEST,
        LINES[1] + b" " * LONGEST,
        LINES[1].replace(b"PJSIP", b"\xff\xfe"),
        LINES[1] + LINES[1],
        changed(LINES[1], eventtime=float("nan")),
        changed(LINES[1], eventtime=float("inf")),
        changed(LINES[1], eventtime=-1),
        changed(LINES[1], eventtime=1e12),
        changed(LINES[1], eventtime="1795534963.4"),
        changed(LINES[1], linkedid="../../etc/passwd"),
        changed(LINES[1], uniqueid="\0"),
        changed(LINES[1], linkedid=""),
        changed(LINES[1], channame=None),
    ],
)
def test_what_is_no_event_of_a_channel_is_passed_over(line: bytes) -> None:
    assert parse(line) is None


# A call


@pytest.mark.parametrize(
    ("call_id", "outcome", "moments"),
    [
        (TALKED, Outcome.FALLBACK, [*BEGINNING, CallEvent.CONNECTED]),
        (LEFT_A_TALK, Outcome.FALLBACK, [*BEGINNING, CallEvent.CONNECTED]),
        (REDIRECTED, Outcome.REDIRECTED, [*NOTICE_OF_1414, CallEvent.REDIRECTED]),
        (BUSY, Outcome.FALLBACK, [*NOTICE_OF_1414, CallEvent.REDIRECT_FAILED]),
        (LEFT, Outcome.FALLBACK, BEGINNING[:3]),
        (KILLED, Outcome.LOST_TO_A_FAULT, [*BEGINNING, CallEvent.CONNECTED]),
    ],
)
def test_each_recorded_call_is_understood(
    call_id: str, outcome: Outcome, moments: list[CallEvent]
) -> None:
    call = fold(LINES)[call_id]
    assert (call.outcome, kinds(call)) == (outcome, moments)
    assert call.received_at <= min(each.at for each in call.moments)
    assert (call.ended_at is None) == (call_id == KILLED)


def test_the_recorded_cel_log_holds_these_calls_and_no_others() -> None:
    assert set(fold(LINES)) == {TALKED, LEFT_A_TALK, REDIRECTED, BUSY, LEFT, KILLED}


def test_the_consultant_and_the_length_of_a_talk_are_read() -> None:
    talk = fold(LINES)[TALKED].talk
    assert talk is not None
    assert talk.consultant == "1001"
    assert talk.ended_at is not None
    assert 1.0 < (talk.ended_at - talk.began_at).total_seconds() < 1.1
    under_a_dying_switch = fold(LINES)[KILLED].talk
    assert under_a_dying_switch is not None
    assert under_a_dying_switch.ended_at is None


def test_reasons_of_fallback_and_failed_1414_are_read() -> None:
    details = {each.moment: each.detail for each in fold(LINES)[BUSY].moments}
    assert details[CallEvent.FALLBACK] == {"why": "not_claimed"}
    assert details[CallEvent.REDIRECT_FAILED] == {"why": "busy"}


@pytest.mark.parametrize(
    ("said", "caller"),
    [
        ("+77010000001", CallerId("number", "+77010000001")),
        ("87010000001", CallerId("number", "+77010000001")),
        ("102", CallerId("short", "102")),
        ("withheld", WITHHELD),
        ("", WITHHELD),
        ("9" * 60, UNREADABLE),
    ],
)
def test_the_caller_is_read_as_on_every_appeal(said: str, caller: CallerId) -> None:
    received = changed(LINES[1], eventextra=json.dumps({"extra": said}))
    assert fold([received])[TALKED].caller == caller


def test_a_call_without_first_lines_has_an_unknown_caller() -> None:
    lines = of(TALKED)
    (entered,) = of(TALKED, "FALLBACK_ENTERED")
    call = fold(lines[lines.index(entered) :])[TALKED]
    assert call.caller == UNREADABLE
    assert kinds(call) == [*BEGINNING, CallEvent.CONNECTED]
    assert call.outcome is Outcome.FALLBACK


def test_a_notice_that_could_not_be_played_is_not_claimed() -> None:
    lines = [each for each in of(BUSY) if b"transfer_ecc" not in each and b"_notice" not in each]
    assert not {CallEvent.NOTICE, CallEvent.REDIRECT_NOTICE} & set(kinds(fold(lines)[BUSY]))


def test_urgent_keys_of_the_fallback_are_noted_once_each() -> None:
    lines = of(TALKED)
    (waiting,) = of(TALKED, "FALLBACK_WAITING")
    signals = [
        changed(waiting, eventtype="FALLBACK_URGENT", eventextra=json.dumps({"extra": word}))
        for word in ("SILENT", "SILENT", "DANGER", "OTHER")
    ]
    at = lines.index(waiting)
    call = fold([*lines[:at], *signals, *lines[at:]])[TALKED]
    assert call.urgencies == ["silent", "danger"]
    assert kinds(call).count(CallEvent.URGENT) == 2
    assert [each.detail for each in call.moments if each.moment is CallEvent.NOTICE] == [
        {"whole": False}
    ]


def test_a_caller_whom_nobody_took_left_in_the_greeting() -> None:
    call = fold(of(LEFT, "CHAN_START", "RECEIVED", "CHAN_END"))[LEFT]
    assert (call.outcome, call.in_fallback) == (Outcome.LEFT_IN_GREETING, False)


def test_a_caller_answered_by_the_dialplan_left_in_the_greeting() -> None:
    call = fold(of(LEFT, "RECEIVED", "ANSWER", "CHAN_END"))[LEFT]
    assert call.outcome is Outcome.LEFT_IN_GREETING


def test_a_greeted_call_without_records_was_lost() -> None:
    call = fold(of(LEFT, "RECEIVED", "ANSWER", "STREAM_BEGIN", "CHAN_END"))[LEFT]
    assert call.outcome is Outcome.LOST_TO_A_FAULT
    assert kinds(call) == [CallEvent.RECEIVED, CallEvent.ANSWERED, CallEvent.GREETING]


def test_an_unwritten_talk_of_a_controller_is_a_talk() -> None:
    events = ("RECEIVED", "ANSWER", "BRIDGE_ENTER", "BRIDGE_EXIT", "CHAN_END")
    call = fold(of(TALKED, *events))[TALKED]
    assert (call.outcome, call.talk) == (Outcome.TALKED, None)


def test_lines_after_the_end_change_nothing() -> None:
    calls = fold(of(TALKED))
    late = parse(changed(of(TALKED, "BRIDGE_ENTER")[-1]))
    assert late is not None
    assert take(calls, late) is None


# The files


class CelLog:
    """The CEL log's folder, with times of files that always differ."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "ledger.jsonl"
        self._clock = itertools.count(1_700_000_000)
        self._names = itertools.count(1)
        self._written = itertools.count()
        self.whole: list[bytes] = []
        self._half = b""

    def write(self, size: int) -> None:
        line = b"%d:" % next(self._written) + b"x" * size
        self._append(line + b"\n" if not self._half else b"\n" + line + b"\n")
        self.whole += [self._half, line] if self._half else [line]
        self._half = b""

    def write_half(self, size: int) -> None:
        if not self._half:
            self._half = b"%d:" % next(self._written) + b"y" * size
            self._append(self._half)

    def rename(self, size: int) -> None:
        self._archive(lambda name: self.path.rename(name))

    def copy_and_truncate(self, size: int) -> None:
        def copy(name: Path) -> None:
            shutil.copy2(self.path, name)
            self._touch(name)
            self.path.write_bytes(b"")
            self._touch(self.path)

        self._archive(copy)

    def _archive(self, how: Any) -> None:
        if self.path.exists():
            how(self.path.with_name(f"ledger.jsonl-{next(self._names)}"))
            self._half = b""  # never finished

    def _append(self, data: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(data)
        self._touch(self.path)

    def _touch(self, path: Path) -> None:
        now = next(self._clock)
        os.utime(path, (now, now))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["write", "write_half", "rename", "copy_and_truncate", "read"]),
        st.integers(0, 40),
    ),
    max_size=30,
)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_every_line_is_read_once_whatever_happens_to_files(
    steps: list[tuple[str, int]],
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(cel_tail, "CHUNK_SIZE", 60)
        cel_log, position, lines = CelLog(Path(folder)), START, []
        for step, size in [*steps, *[("read", 0)] * 200]:
            if step != "read":
                getattr(cel_log, step)(size)
            elif (piece := read(cel_log.path, position)) is not None:
                lines += [each for each in piece.lines if each]
                position = piece.after
        assert lines == cel_log.whole
        assert read(cel_log.path, position) is None


def test_a_truncated_log_is_read_anew_without_older_files(
    tmp_path: Path,
) -> None:
    cel_log = CelLog(tmp_path)
    cel_log.write(10)
    cel_log.rename(0)
    cel_log.write(20)
    first = read(cel_log.path, START)
    assert first is not None
    second = read(cel_log.path, first.after)
    assert second is not None
    cel_log.path.write_bytes(b"")
    cel_log.write(30)  # longer than it was
    third = read(cel_log.path, second.after)
    assert third is not None
    assert third.lines[0] == cel_log.whole[2]


def test_a_copy_in_the_making_is_not_read(tmp_path: Path) -> None:
    cel_log = CelLog(tmp_path)
    cel_log.write(10)
    first = read(cel_log.path, START)
    assert first is not None
    shutil.copy2(cel_log.path, tmp_path / "ledger.jsonl.1")
    cel_log.write(20)
    second = read(cel_log.path, first.after)
    assert second is not None
    assert second.lines == [cel_log.whole[1], b""]


def test_a_predecessor_that_somebody_touched_later_is_still_a_predecessor(tmp_path: Path) -> None:
    cel_log = CelLog(tmp_path)
    cel_log.write(10)
    cel_log.rename(0)
    cel_log.write(20)
    os.utime(tmp_path / "ledger.jsonl-1")
    first = read(cel_log.path, START)
    assert first is not None
    assert first.lines[0] == cel_log.whole[0]


def test_a_line_without_end_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(b"x" * (cel_tail.CHUNK_SIZE + 10) + b"\nnext\n")
    first = read(path, START)
    assert first is not None
    second = read(path, first.after)
    assert second is not None
    assert second.lines == [b"x" * 10, b"next", b""]


def test_packed_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "ledger.jsonl.2.gz").write_bytes(b"packed\n")
    assert read(tmp_path / "ledger.jsonl", START) is None


def test_without_a_folder_there_is_nothing_to_read(tmp_path: Path) -> None:
    assert read(tmp_path / "nowhere" / "ledger.jsonl", START) is None


def test_memory_does_not_grow_with_the_cel_log(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with path.open("wb") as file:
        for _ in range(200):
            file.write(b"\n".join(LINES) + b"\n")
    position, length = START, 0
    tracemalloc.start()
    try:
        while (piece := read(path, position)) is not None:
            position, length = piece.after, length + sum(map(len, piece.lines))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert length > 5_000_000
    assert peak < 8 * cel_tail.CHUNK_SIZE
