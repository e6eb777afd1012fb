"""`docs/testing/runs.md`: what is read from it."""

from datetime import date
from pathlib import Path

import pytest

from callcenter.platform.core.settings import ROOT
from tests.gate.runs import FILE, Runs, RunsFileError, read_runs

RUN = "| 2026-11-30 09:00 | 1234abcd | 30 (phones 12) | {} | green |"


def read(repository: Path, text: str) -> Runs:
    (file := repository / FILE).parent.mkdir(parents=True)
    file.write_text(text)
    return read_runs(repository)


def test_each_run_of_the_project_can_be_read() -> None:
    rows = [each for each in (ROOT / FILE).read_text().splitlines() if each.startswith("| 20")]
    assert len(read_runs(ROOT).runs) == len(rows) > 0


def test_a_run_counts_for_each_test_and_its_file(tmp_path: Path) -> None:
    tests = "`tests/calls/test_one.py` `test_it`, `tests/web/test_two.py` `test_that`"
    runs = read(tmp_path, f"{RUN.format(tests)}\n{RUN.format('none')}\n")
    day = date(2026, 11, 30)
    for test in ("tests/calls/test_one.py::test_it", "tests/web/test_two.py"):
        assert runs.count_unsteady(test, since=day) == 1
    for other in ("tests/calls/test_one.py::test_i", "tests/web/test_one.py"):
        assert runs.count_unsteady(other, since=day) == 0


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("| 2026-11-30 09:00 | 1234abcd | 30 | green |", "a row has 5 cells"),
        ("| 2026-11-30 | 1234abcd | 30 | none | green |", "does not match format"),
        ("| 2026-13-30 09:00 | 1234abcd | 30 | none | green |", "does not match format"),
    ],
)
def test_a_row_of_a_run_is_whole(tmp_path: Path, row: str, said: str) -> None:
    with pytest.raises(RunsFileError, match=rf"runs\.md:2: .*{said}"):
        read(tmp_path, f"| date |\n{row}\n")
