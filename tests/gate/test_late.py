"""`docs/testing/late.md`: what it may say, and what it demands."""

from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.platform.core.settings import ROOT
from tests.gate.late import FILE, LateFile, LateFileError, LateTest, Quarantine, read_late_file

TEST = "`tests/calls/test_one.py` `test_it`"
ROW = f"| 2026-11-30 | {TEST} | it | 1 of 1 run | we |"
TODAY = date(2026, 11, 30)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (file := tmp_path / "tests" / "calls" / "test_one.py").parent.mkdir(parents=True)
    file.write_text("def test_it():\n    pass\n")
    return tmp_path


def read(repository: Path, *rows: str) -> LateFile:
    (file := repository / FILE).parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(rows))
    return read_late_file(repository)


def test_the_projects_own_file_can_be_read() -> None:
    read_late_file(ROOT)


def test_both_tables_are_read(repository: Path) -> None:
    found = read(
        repository,
        "| date | test | message | how often | who is to blame |",
        "| --- | --- | --- | --- | --- |",
        f"| 2026-11-30 | {TEST} | `CallOver` (load 2.7) | 1 of 1 run | the test |",
        "## Quarantine",
        "| 2026-11-29 | `tests/calls/test_one.py` | under load |",
    )
    (late,) = found.late
    assert late == LateTest("tests/calls/test_one.py::test_it", 1, 1)
    (quarantine,) = found.quarantines
    assert quarantine == Quarantine("tests/calls/test_one.py", date(2026, 11, 29), "under load")
    assert list(found.faults(TODAY)) == []


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (f"| 2026-13-30 | {TEST} | it | 1 of 1 run | we |", "month must be in 1..12"),
        ("| 2026-11-30 | test_it | it | 1 of 1 run | we |", "test_it names no test"),
        ("| 2026-11-30 | `tests/calls/test_two.py` | it | 1 of 1 run | we |", "there is no test"),
        (
            "| 2026-11-30 | `tests/calls/test_one.py` `test_that` | it | 1 of 1 run | we |",
            "there is no test",
        ),
        (f"| 2026-11-30 | {TEST} | it | sometimes | we |", "N of M runs"),
        (f"| 2026-11-30 | {TEST} | it | 3 of 2 runs | we |", "within the last 10 runs"),
        (f"| 2026-11-30 | {TEST} | it | 1 of 11 runs | we |", "within the last 10 runs"),
        (f"| 2026-1-3 | {TEST} | it | 1 of 1 run | we |", "Invalid isoformat"),
        (f"| 2026-11-30 | {TEST} | 1 of 1 run | we |", "a row is date | test | message"),
        ("| today |", "a row is date | test"),
        (ROW + "\n" + ROW, "has a row already"),
        (f"## Quarantine\n| 2026-11-30 | {TEST} |  |", "since | test | reason"),
        (f"## Quarantine\n| 2026-11-30 | {TEST} |", "since | test | reason"),
    ],
)
def test_a_row_that_says_nothing_is_refused(repository: Path, row: str, said: str) -> None:
    with pytest.raises(LateFileError) as refused:
        read(repository, row)
    assert str(refused.value).startswith(f"{FILE}:{1 + row.count(chr(10))}: ")
    assert said in str(refused.value)


def test_what_is_often_late_is_mended_or_quarantined(repository: Path) -> None:
    row = f"| 2026-11-30 | {TEST} | it | {{}} runs | we |"
    (fault,) = read(repository, row.format("3 of 10")).faults(TODAY)
    assert "was late in 3 of 10 runs: mend it first" in fault
    assert not list(read(repository, row.format("2 of 10")).faults(TODAY))
    quarantine = f"## Quarantine\n| 2026-11-30 | {TEST} | why |"
    assert not list(read(repository, row.format("3 of 10"), quarantine).faults(TODAY))


def test_five_tests_are_in_quarantine_at_most() -> None:
    tests = [Quarantine(f"tests/calls/test_{n}.py", TODAY, "why") for n in range(6)]
    assert not list(LateFile(quarantines=tests[:5]).faults(TODAY))
    assert list(LateFile(quarantines=tests).faults(TODAY)) == [
        "6 tests are in quarantine: at most 5 may be"
    ]


def test_after_its_term_no_other_test_is_quarantined() -> None:
    older = Quarantine("tests/calls/test_one.py", TODAY - timedelta(days=15), "why")
    newer = Quarantine("tests/calls/test_two.py", TODAY, "why")
    (fault,) = LateFile(quarantines=[newer, older]).faults(TODAY)
    assert fault == f"{older.test} was to be mended by 2026-11-29, before {newer.test}"
    assert older.describe(TODAY) == f"{older.test} (over for 1 days: mend it first)"
    assert newer.describe(TODAY) == f"{newer.test} (14 days left)"


def test_no_quarantine_begins_in_the_future() -> None:
    tomorrow = Quarantine("tests/calls/test_one.py", TODAY + timedelta(days=1), "why")
    (fault,) = LateFile(quarantines=[tomorrow]).faults(TODAY)
    assert fault.endswith("since 2026-12-01, which is to come")


@given(st.text("abc_", min_size=1), st.text("abc_", min_size=1))
def test_a_quarantine_covers_its_test_and_no_other(one: str, other: str) -> None:
    of_test = Quarantine(f"tests/calls/test_one.py::{one}", TODAY, "why")
    assert of_test.covers(f"tests/calls/test_one.py::{one}")
    assert of_test.covers(f"tests/calls/test_one.py::{one}[0]")
    assert of_test.covers(f"tests/calls/test_one.py::{other}") == (one == other)
    assert not of_test.covers(f"tests/calls/test_two.py::{one}")
    of_file = Quarantine("tests/calls/test_one.py", TODAY, "why")
    assert of_file.covers(f"tests/calls/test_one.py::{other}")
