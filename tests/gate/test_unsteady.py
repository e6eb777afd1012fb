"""`docs/testing/late.md`: what it may say, and what it demands."""

from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.platform.core.settings import ROOT
from tests.gate.runs import GateRun, Runs, covers
from tests.gate.unsteady import (
    FILE,
    Quarantine,
    UnsteadyFile,
    UnsteadyFileError,
    UnsteadyTest,
    read_unsteady_file,
    unsteady_row,
)

TEST = "`tests/calls/test_one.py` `test_it`"
ROW = f"| 2026-11-30 | {TEST} | it | we |"
TODAY = date(2026, 11, 30)
STEADY = GateRun(TODAY, frozenset())
UNSTEADY = GateRun(TODAY, frozenset({"tests/calls/test_one.py::test_it"}))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (file := tmp_path / "tests" / "calls" / "test_one.py").parent.mkdir(parents=True)
    file.write_text("def test_it():\n    pass\n")
    return tmp_path


def read(repository: Path, *rows: str) -> UnsteadyFile:
    (file := repository / FILE).parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(rows))
    return read_unsteady_file(repository)


def test_the_projects_own_file_can_be_read() -> None:
    read_unsteady_file(ROOT)


def test_both_tables_are_read(repository: Path) -> None:
    found = read(
        repository,
        "| date | test | message | cause |",
        "| --- | --- | --- | --- |",
        f"| 2026-11-30 | {TEST} | `CallOver` (load 2.7) | the test |",
        "## Quarantine",
        "| 2026-11-29 | `tests/calls/test_one.py` | under load |",
    )
    (unsteady,) = found.tests
    assert unsteady == UnsteadyTest("tests/calls/test_one.py::test_it", date(2026, 11, 30))
    (quarantine,) = found.quarantines
    assert quarantine == Quarantine("tests/calls/test_one.py", date(2026, 11, 29), "under load")
    assert list(found.faults(TODAY, Runs())) == []


def test_the_row_that_a_run_prints_is_read(repository: Path) -> None:
    row = unsteady_row(TODAY, "tests/calls/test_one.py::TestCalls::test_it[a]", "1 | 2\n3")
    (unsteady,) = read(repository, row).tests
    assert unsteady == UnsteadyTest("tests/calls/test_one.py::test_it", TODAY)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (f"| 2026-13-30 | {TEST} | it | we |", "month must be in 1..12"),
        ("| 2026-11-30 | test_it | it | we |", "test_it names no test"),
        ("| 2026-11-30 | `tests/calls/test_two.py` | it | we |", "there is no test"),
        ("| 2026-11-30 | `tests/calls/test_one.py` `test_that` | it | we |", "there is no test"),
        (f"| 2026-1-3 | {TEST} | it | we |", "Invalid isoformat"),
        (f"| 2026-11-30 | {TEST} | we |", "a row is date | test | message"),
        ("| today |", "a row is date | test"),
        (ROW + "\n" + ROW, "has a row already"),
        (f"## Quarantine\n| 2026-11-30 | {TEST} |  |", "since | test | reason"),
        (f"## Quarantine\n| 2026-11-30 | {TEST} |", "since | test | reason"),
    ],
)
def test_a_row_that_says_nothing_is_refused(repository: Path, row: str, said: str) -> None:
    with pytest.raises(UnsteadyFileError) as refused:
        read(repository, row)
    assert str(refused.value).startswith(f"{FILE}:{1 + row.count(chr(10))}: ")
    assert said in str(refused.value)


def test_what_is_often_unsteady_is_mended_or_quarantined(repository: Path) -> None:
    often = Runs([UNSTEADY, *[STEADY] * 8, UNSTEADY])
    (fault,) = read(repository, ROW).faults(TODAY, often)
    assert "was unsteady in 2 of the last 10 runs: mend it first" in fault
    quarantine = f"## Quarantine\n| 2026-11-30 | {TEST} | why |"
    assert not list(read(repository, ROW, quarantine).faults(TODAY, often))


@pytest.mark.parametrize(
    "runs",
    [
        [UNSTEADY, *[STEADY] * 9, UNSTEADY],  # eleven runs ago
        [UNSTEADY._replace(day=TODAY - timedelta(days=1)), UNSTEADY],  # before it was mended
    ],
)
def test_what_is_seldom_unsteady_lets_others_in(repository: Path, runs: list[GateRun]) -> None:
    assert not list(read(repository, ROW).faults(TODAY, Runs(runs)))


def test_five_tests_are_in_quarantine_at_most() -> None:
    tests = [Quarantine(f"tests/calls/test_{n}.py", TODAY, "why") for n in range(6)]
    assert not list(UnsteadyFile(quarantines=tests[:5]).faults(TODAY, Runs()))
    assert list(UnsteadyFile(quarantines=tests).faults(TODAY, Runs())) == [
        "6 tests are in quarantine: at most 5 may be"
    ]


def test_after_its_term_no_other_test_is_quarantined() -> None:
    older = Quarantine("tests/calls/test_one.py", TODAY - timedelta(days=15), "why")
    newer = Quarantine("tests/calls/test_two.py", TODAY, "why")
    (fault,) = UnsteadyFile(quarantines=[newer, older]).faults(TODAY, Runs())
    assert fault == f"{older.test} was to be mended by 2026-11-29, before {newer.test}"
    assert older.describe(TODAY) == f"{older.test} (over for 1 days: mend it first)"
    assert newer.describe(TODAY) == f"{newer.test} (14 days left)"


def test_no_quarantine_begins_in_the_future() -> None:
    tomorrow = Quarantine("tests/calls/test_one.py", TODAY + timedelta(days=1), "why")
    (fault,) = UnsteadyFile(quarantines=[tomorrow]).faults(TODAY, Runs())
    assert fault.endswith("since 2026-12-01, which is to come")


@given(st.text("abc_", min_size=1), st.text("abc_", min_size=1))
def test_a_row_covers_its_test_and_no_other(one: str, other: str) -> None:
    named = f"tests/calls/test_one.py::{one}"
    assert covers(named, named)
    assert covers(named, f"tests/calls/test_one.py::{one}[a::b]")
    assert covers(named, f"tests/calls/test_one.py::TestCalls::{one}")
    assert covers(named, f"tests/calls/test_one.py::{other}") == (one == other)
    assert not covers(named, f"tests/calls/test_two.py::{one}")
    assert covers("tests/calls/test_one.py", named)
