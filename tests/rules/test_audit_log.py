"""What was done to the audit log is found, and where, whatever it was."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.platform.audit.rules.checkpoints import Checkpoint, NotSigned, key_from, read, sign
from callcenter.platform.audit.rules.hash_chain import GENESIS, Entry, next_hash
from callcenter.platform.audit.rules.verification import ChainVerification, Fault, Row, Violation
from callcenter.platform.core.errors import InvalidRequest

NOW = datetime(2026, 11, 24, 14, 5, 9, 120, UTC)
KEY = key_from("A" * 43)

words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
details = st.dictionaries(words, words | st.integers() | st.booleans() | st.none(), max_size=2)


def log(contents: list[tuple[str, dict[str, str | int | bool | None]]]) -> list[Row]:
    """The rows of a log with entries of these subjects and details."""
    rows, previous = [], GENESIS
    for number, (subject, detail) in enumerate(contents, start=1):
        at = NOW + timedelta(seconds=number)
        entry = Entry(number, at, "user:aigul", "web:appeal:viewed", subject, detail, "127.0.0.1")
        previous = next_hash(previous, entry)
        rows.append(
            Row(
                number,
                f"{at:%Y-%m-%d %H:%M:%S.%f}+00",
                *(entry.who, entry.action, subject, json.dumps(detail), entry.from_address),
                hash=previous,
            )
        )
    return rows


logs = st.lists(st.tuples(words, details), min_size=2, max_size=8).map(log)


def head_of(row: Row) -> Checkpoint:
    return Checkpoint(row.id, row.hash, NOW)


def faults(rows: list[Row], heads: list[Checkpoint] | None = None) -> list[Fault]:
    check = ChainVerification(heads or [])
    return [fault for row in rows for fault in check.take(row)] + list(check.end())


def rechained(rows: list[Row], start: int) -> list[Row]:
    """What a forger makes of the rows from `start` on who knows how hashes are made."""
    previous, made = rows[start - 1].hash if start else GENESIS, rows[:start]
    for row in rows[start:]:
        entry = Entry(
            row.id,
            datetime.fromisoformat(row.at or ""),
            *(row.who or "", row.action or "", row.subject or "", json.loads(row.detail or "")),
            row.from_address,
        )
        previous = next_hash(previous, entry)
        made.append(row._replace(hash=previous))
    return made


@given(logs, st.data())
def test_a_log_that_nobody_touched_is_sound_with_any_heads(
    rows: list[Row], data: st.DataObject
) -> None:
    signed = data.draw(st.lists(st.sampled_from(rows)))
    assert faults(rows, [head_of(row) for row in signed]) == []


@pytest.mark.parametrize(
    "change",
    [
        {"at": "2026-11-24 14:05:09.000121+00"},
        {"at": "infinity"},
        {"at": None},
        {"who": "user:asel"},
        {"who": None},
        {"action": "web:session:started"},
        {"subject": "another subject"},
        {"detail": '{"another": 1e99999}'},
        {"detail": "[" * 100_000},
        {"detail": None},
        {"from_address": None},
        {"from_address": "127.0.0.2"},
    ],
)
@given(logs, st.data())
def test_an_entry_that_was_changed_is_named_alone(
    change: dict[str, str | None], rows: list[Row], data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(rows) - 1))
    rows[place] = rows[place]._replace(**change)  # type: ignore[arg-type]
    assert faults(rows) == [Fault(Violation.ALTERED, place + 1, place + 1)]


def test_the_same_moment_before_christ_is_another_moment() -> None:
    rows = log([("a", {})])
    assert faults([rows[0]._replace(at=f"{rows[0].at} BC")]) != []


@pytest.mark.parametrize("disguised", ["[]", '""', '[["by","page"]]'])
def test_a_detail_is_a_json_object_strictly(disguised: str) -> None:
    detail: dict[str, str | int | bool | None] = {"by": "page"} if "by" in disguised else {}
    rows = log([("a", detail)])
    assert faults([rows[0]._replace(detail=disguised)]) == [Fault(Violation.ALTERED, 1, 1)]


@given(logs, st.data())
def test_a_changed_hash_is_found_there_or_next(rows: list[Row], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(rows) - 1))
    rows[place] = rows[place]._replace(hash=data.draw(st.binary(min_size=0, max_size=31)))
    assert [fault.first for fault in faults(rows)] == [place + 1, place + 2][: len(rows) - place]


@given(logs, st.data())
def test_entries_that_are_missing_are_numbered(rows: list[Row], data: st.DataObject) -> None:
    first = data.draw(st.integers(1, len(rows) - 1))
    last = data.draw(st.integers(first, len(rows) - 1))
    assert faults(rows[: first - 1] + rows[last:]) == [Fault(Violation.MISSING, first, last)]


@given(logs, st.data())
def test_two_entries_that_changed_places_are_found(rows: list[Row], data: st.DataObject) -> None:
    one = data.draw(st.integers(0, len(rows) - 2))
    other = data.draw(st.integers(one + 1, len(rows) - 1))
    swapped = list(rows)
    swapped[one] = rows[other]._replace(id=one + 1)
    swapped[other] = rows[one]._replace(id=other + 1)
    assert {one + 1, other + 1} <= {fault.first for fault in faults(swapped)}


@given(logs, st.data())
def test_an_entry_that_is_there_twice_is_found(rows: list[Row], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(rows) - 1))
    rows.insert(place + 1, rows[place])
    assert faults(rows) == [Fault(Violation.OUT_OF_PLACE, place + 1, place + 1)]


def test_a_row_without_a_number_is_found() -> None:
    rows = log([("a", {})])
    assert faults([*rows, rows[0]._replace(id=0)]) == [Fault(Violation.OUT_OF_PLACE, 0, 0)]


@given(logs, st.data())
def test_only_heads_show_that_the_newest_entries_were_cut_off(
    rows: list[Row], data: st.DataObject
) -> None:
    left = data.draw(st.integers(0, len(rows) - 1))
    signed = data.draw(st.integers(left, len(rows) - 1))
    assert faults(rows[:left]) == []
    assert faults(rows[:left], [head_of(rows[signed])]) == [
        Fault(Violation.CUT_OFF, left + 1, signed + 1)
    ]


@given(logs, st.data())
def test_only_heads_show_that_everything_since_was_written_anew(
    rows: list[Row], data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(rows) - 1))
    sound = data.draw(st.integers(0, place))  # entries that an earlier head vouches for
    signed = data.draw(st.integers(place, len(rows) - 1))
    heads = [head_of(rows[signed]), *([head_of(rows[sound - 1])] if sound else [])]
    forged = list(rows)
    forged[place] = rows[place]._replace(subject="somebody else")
    forged = rechained(forged, place)
    assert faults(forged) == []
    assert faults(forged, heads) == [Fault(Violation.REWRITTEN, sound + 1, signed + 1)]


def test_a_fault_says_where() -> None:
    assert str(Fault(Violation.MISSING, 5, 9)) == "entries 5 to 9: missing"
    assert str(Fault(Violation.MISSING, 5, 5)) == "entry 5: missing"


moments = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
heads = st.builds(
    Checkpoint,
    st.integers(1, 2**63 - 1),
    st.binary(min_size=32, max_size=32),
    moments.map(lambda at: at.replace(microsecond=0)),
)


@given(heads)
def test_a_head_is_read_as_it_was_signed(head: Checkpoint) -> None:
    assert read(KEY.public_key(), sign(KEY, head)) == head


@given(heads, st.data())
def test_nobody_makes_another_head_from_a_signed_one(head: Checkpoint, data: st.DataObject) -> None:
    line = sign(KEY, head)
    place = data.draw(st.integers(0, len(line) - 1))
    changed = line[:place] + data.draw(st.characters(codec="ascii")) + line[place + 1 :]
    try:
        assert read(KEY.public_key(), changed) == head  # bits of base64 that mean nothing
    except NotSigned:
        assert changed != line


@given(st.text() | heads.map(lambda head: sign(key_from("B" * 43), head)))
def test_what_this_key_did_not_sign_is_no_head(line: str) -> None:
    with pytest.raises(NotSigned):
        read(KEY.public_key(), line)


@pytest.mark.parametrize("seed", ["", "short", "ә" * 43, "A" * 60])
def test_a_seed_of_another_form_is_refused(seed: str) -> None:
    with pytest.raises(InvalidRequest, match="32 bytes"):
        key_from(seed)


def test_what_was_signed_for_another_purpose_is_no_head() -> None:
    said = f"another-mark 1 {GENESIS.hex()} 2026-11-24T00:00:00+00:00"
    signature = base64.b64encode(KEY.sign(said.encode())).decode()
    with pytest.raises(NotSigned):
        read(KEY.public_key(), f"{said} {signature}")
