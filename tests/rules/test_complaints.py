"""The tables of complaints and of the service name tests that exist; no complaint is missing."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "operations"
TABLE = (DOCS / "complaints.md").read_text(encoding="utf-8")
SERVICE = (DOCS / "telephone-service.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (\d+) \| (.+) \| (.+) \|$", re.MULTILINE)
NAME = re.compile(r"`(test_\w+)`")


@pytest.mark.parametrize("table", [TABLE, SERVICE], ids=["complaints", "service"])
def test_every_test_that_a_table_names_exists(table: str) -> None:
    known = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", file.read_text("utf-8"), re.MULTILINE)
    }
    named = set(NAME.findall(table))
    assert len(named) > 40
    assert named - known == set()


def test_every_complaint_has_a_test_or_says_what_is_missing() -> None:
    rows = ROW.findall(TABLE)
    assert [int(number) for number, _, _ in rows] == list(range(1, 34))
    for number, _, answer in rows:
        assert NAME.search(answer) or "missing: " in answer, number
