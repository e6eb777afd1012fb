"""Which slow tests a commit draws, and which files are new or changed."""

from collections import Counter

import pytest

from tests.gate.conftest import Project
from tests.gate.selection import SHARES, is_drawn, outline, recently_changed
from tests.seeds import NO_COMMIT, SeededRandom, hashed, tree_seed

OLD = "2026-11-29 12:00 +0000"
TEST = '''
"""Of callers."""

from tests.calls import waits

STEPS = [Step.RINGS, Step.TALKS]

@pytest.mark.slow
def test_it(caller):
    """A caller."""
    assert caller.listen(3) == "music"
    assert waits(caller) == Outcome.SERVED == caller.outcome != Outcome.LOST
'''


def test_a_sixth_is_drawn_and_each_in_time() -> None:
    names = [f"tests/calls/test_x.py::test_{number}" for number in range(300)]
    drawn = Counter(name for seed in range(100) for name in names if is_drawn(seed, name))
    assert abs(drawn.total() / 30_000 - 1 / SHARES) < 0.01
    assert set(drawn) == set(names)


def test_what_is_drawn_is_the_same_in_every_process() -> None:
    assert hashed("111") == 0xF6E0A1E2
    assert SeededRandom("111").random() == SeededRandom("111").random()
    assert SeededRandom("111").random() != SeededRandom("112").random()


def test_a_generator_needs_a_seed() -> None:
    with pytest.raises(TypeError):
        SeededRandom()  # type: ignore[call-arg]


def test_the_seed_is_of_all_files_but_late_md(project: Project) -> None:
    assert tree_seed(project.folder) == NO_COMMIT
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
    files = recently_changed(project.folder)
    assert files is not None
    return {file.name for file in files}


def test_a_file_is_new_for_six_hours(project: Project) -> None:
    project.write("README", "old")
    project.commit(OLD)
    project.write("tests/test_a.py", TEST)
    assert changed(project) == {"test_a.py"}  # nothing of it is committed
    project.commit("2026-11-30 12:00 +0000")
    project.write("README", "new")
    project.commit("2026-11-30 17:00 +0000")
    assert changed(project) == {"test_a.py"}
    project.write("README", "newer")
    project.commit("2026-11-30 19:00 +0000")
    assert changed(project) == set()


def test_everything_is_new_where_no_commit_is_old(project: Project) -> None:
    project.write("tests/test_a.py", TEST)
    project.commit()
    assert changed(project) == {"test_a.py"}


def test_changes_outside_a_repository_are_unknown(project: Project) -> None:
    project.write("tests/test_a.py", TEST)
    assert recently_changed(project.folder) is None


def test_moved_files_and_other_names_are_no_change(project: Project) -> None:
    project.write("tests/test_a.py", TEST)
    project.commit(OLD)
    (project.folder / "tests/test_a.py").unlink()
    renamed = TEST.replace("caller", "phone").replace("tests.calls", "tests.phones")
    project.write("tests/calls/test_b.py", renamed.replace("SERVED", "HELPED"))
    project.commit()
    assert changed(project) == set()


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("listen(3)", "listen(4)"),
        ("listen(3)", "listen(3, 3)"),
        ('"music"', '"a ring"'),
        ("!=", "=="),
        ("assert waits(caller)", "waits(caller)"),
        ("Step.TALKS]", "Step.TALKS, Step.WAITS]"),
        ("Outcome.LOST", "Outcome.SERVED"),
    ],
)
def test_another_step_number_text_or_case_is_a_change(
    project: Project, was: str, becomes: str
) -> None:
    project.write("tests/test_a.py", TEST)
    project.commit(OLD)
    project.write("tests/test_a.py", TEST.replace(was, becomes))
    assert changed(project) == {"test_a.py"}


def test_what_is_no_python_has_its_text() -> None:
    assert outline("def test_it(") == "def test_it("
