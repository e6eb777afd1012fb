"""Which slow tests a commit draws, and which are new or changed."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.gate.conftest import Project
from tests.gate.selection import SHARES, is_drawn, recently_changed, shapes_of_tests
from tests.seeds import tree_seed

OLD = "2026-11-29 12:00 +0000"
TEST = """
def test_it(caller):
    assert caller.listen(3) == "music"
"""


def test_a_sixth_is_drawn_and_each_in_time() -> None:
    names = [f"tests/calls/test_x.py::test_{number}" for number in range(300)]
    drawn = Counter(name for seed in range(100) for name in names if is_drawn(seed, name))
    assert abs(drawn.total() / 30_000 - 1 / SHARES) < 0.01
    assert set(drawn) == set(names)


@given(st.integers(0, 2**32 - 1), st.text())
def test_what_is_drawn_depends_on_nothing_else(seed: int, name: str) -> None:
    assert is_drawn(seed, name) == is_drawn(seed, name)


def test_the_seed_is_of_the_files_without_those_that_were_late(project: Project) -> None:
    project.write("tests/test_a.py", TEST)
    project.commit(OLD)
    before = tree_seed(project.folder)
    project.write("docs/testing/late.md", "one more")
    project.commit()
    assert tree_seed(project.folder) == before
    project.write("tests/test_a.py", TEST + "\n")
    project.commit()
    assert tree_seed(project.folder) != before


def changed(project: Project) -> set[str]:
    return {test for tests in recently_changed(project.folder).values() for test in tests}


def test_a_test_is_new_for_six_hours(project: Project) -> None:
    project.write("README", "old")
    project.commit(OLD)
    project.write("tests/test_a.py", TEST)
    assert changed(project) == {"test_it"}  # nothing of it is committed
    project.commit("2026-11-30 12:00 +0000")
    project.write("README", "new")
    project.commit("2026-11-30 17:00 +0000")
    assert changed(project) == {"test_it"}
    project.write("README", "newer")
    project.commit("2026-11-30 19:00 +0000")
    assert changed(project) == set()


def test_everything_is_new_where_no_commit_is_old(project: Project) -> None:
    project.write("tests/test_a.py", TEST)
    project.commit()
    assert changed(project) == {"test_it"}


def test_a_test_that_was_moved_or_got_other_names_has_not_changed(project: Project) -> None:
    project.write("tests/test_a.py", TEST)
    project.commit(OLD)
    (project.folder / "tests/test_a.py").unlink()
    project.write("tests/calls/test_b.py", TEST.replace("caller", "phone").replace("it", "that"))
    project.commit()
    assert changed(project) == set()


@pytest.mark.parametrize(
    ("was", "becomes"),
    [("3", "4"), ("==", "!="), ('"music"', '"a ring"'), ("(3)", "(3, 3)"), ("assert ", "")],
)
def test_another_step_number_or_text_is_a_change(project: Project, was: str, becomes: str) -> None:
    project.write("tests/test_a.py", TEST)
    project.commit(OLD)
    project.write("tests/test_a.py", TEST.replace(was, becomes))
    assert changed(project) == {"test_it"}


def test_what_is_no_python_has_no_tests() -> None:
    assert shapes_of_tests("def test_it(") == {}
