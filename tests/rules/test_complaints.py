"""The table of complaints names tests that exist, and every complaint is answered."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TABLE = (ROOT / "docs" / "operations" / "complaints.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (\d+) \| (.+) \| (.+) \|$", re.MULTILINE)
NAME = re.compile(r"`(test_\w+)`")


def test_every_test_that_the_table_of_complaints_names_exists() -> None:
    known = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", file.read_text("utf-8"), re.MULTILINE)
    }
    named = set(NAME.findall(TABLE))
    assert len(named) > 40
    assert named - known == set()


def test_every_complaint_has_a_test_or_says_what_is_missing() -> None:
    rows = ROW.findall(TABLE)
    assert [int(number) for number, _, _ in rows] == list(range(1, 34))
    for number, _, answer in rows:
        assert NAME.search(answer) or "missing: " in answer, number
