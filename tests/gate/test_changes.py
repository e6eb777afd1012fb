"""Which tests belong to a change."""

import subprocess
from pathlib import Path

import pytest

from tests.gate.changes import ChangedTests
from tests.gate.conftest import Project

FILE = "tests/calls/test_one.py"
BEFORE = """
import pytest

def test_one():
    assert 1 == 1

@pytest.mark.parametrize("number", [1, 2])
def test_two(number):
    assert number

class TestThree:
    async def test_it(self):
        pass
"""


@pytest.fixture
def changing(project: Project) -> Project:
    """A branch whose main has the tests as they were BEFORE."""
    project.write(FILE, BEFORE)
    project.commit()
    project.switch("work")
    return project


def changed(project: Project, *tests: str) -> set[str]:
    found = ChangedTests(project.folder)
    return {test for test in tests if found.has(f"{FILE}::{test}")}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("assert 1 == 1", "assert 1", {"test_one"}),
        ("[1, 2]", "[1, 2, 3]", {"test_two[1]"}),
        ("        pass", "        return", {"TestThree::test_it"}),
        ("def test_one", "def test_other", {"test_other"}),
        ("import pytest", "import pytest  # for all", set()),
        ("def test_one():", 'def test_one():\n    """Be equal."""', set()),
    ],
)
def test_a_function_with_another_body_belongs_to_a_change(
    changing: Project, old: str, new: str, expected: set[str]
) -> None:
    changing.write(FILE, BEFORE.replace(old, new))
    changing.commit()
    tests = (
        "test_other" if "test_other" in new else "test_one",
        "test_two[1]",
        "TestThree::test_it",
    )
    assert changed(changing, *tests) == expected


def test_a_function_that_moved_within_its_file_is_no_change(changing: Project) -> None:
    changing.write(FILE, BEFORE.replace("def test_one", "NUMBER = 1\n\n\ndef test_one"))
    changing.commit()
    assert changed(changing, "test_one", "test_two[1]", "TestThree::test_it") == set()


def test_in_a_shallow_clone_every_function_is_a_change(changing: Project, tmp_path: Path) -> None:
    changing.write("README", "later")
    changing.commit()
    shallow = tmp_path / "shallow"
    clone = ["git", "clone", "--quiet", "--depth=1", f"file://{changing.folder}", str(shallow)]
    subprocess.run(clone, check=True)
    assert ChangedTests(shallow).has(f"{FILE}::test_one")
