"""Which tests a run chooses: by their names and the seed, never by the clock.

Of the tests marked `slow` a sixth is drawn for each commit, so that all come to it in time and a
commit always draws the same. New and changed slow tests always run.
"""

import ast
import subprocess
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from tests.seeds import hashed

SHARES = 6  # one of so many equal shares of the slow tests is drawn
RECENT = 6 * 3600  # seconds before a commit in which a changed test is new to it

#: What a test consists of, whatever it calls things.
Shape = int
_NAMES = {"arg", "asname", "attr", "ctx", "id", "module", "name"}


def is_drawn(seed: int, test: str) -> bool:
    return hashed(f"{seed} {test}") % SHARES == 0


def first_drawn(seed: int, tests: Collection[str]) -> str:
    """One of these tests. Raises ValueError if there is none."""
    return min(tests, key=lambda test: (hashed(f"{seed} {test}"), test))


def recently_changed(repository: Path) -> dict[Path, set[str]]:
    """Names of the tests, by file, that were added or changed within RECENT before the commit.

    Changes that are not committed yet count too. A test that was moved, or in which things got
    other names, has not changed. Outside a repository nothing is known to have changed.
    """
    try:
        committed_at = int(_git(repository, "log", "-1", "--format=%ct"))
    except (OSError, subprocess.CalledProcessError):
        return {}
    before = f"--before={committed_at - RECENT}"
    base = _git(repository, "rev-list", "-1", "--first-parent", before, "HEAD").decode().strip()
    touched = _touched_files(repository, base)
    if not touched:
        return {}
    old = {
        shape
        for source in _sources(repository, base, touched)
        for shape in shapes_of_tests(source).values()
    }
    changed = {}
    for name in touched:
        file = repository / name
        shapes = shapes_of_tests(file.read_text()) if file.exists() else {}
        changed[file] = {test for test, shape in shapes.items() if shape not in old}
    return changed


def shapes_of_tests(source: str) -> dict[str, Shape]:
    """The shapes of all test functions of a file, by their names; none if it is no Python."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return {}
    return {
        node.name: hashed(repr(list(_outline(node))))
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    }


def _outline(function: ast.AST) -> Iterator[tuple[object, ...]]:
    for node in ast.walk(function):
        plain = (value for key, value in ast.iter_fields(node) if key not in _NAMES)
        yield (
            type(node).__name__,
            *(
                len(value) if isinstance(value, list) else value
                for value in plain
                if not isinstance(value, ast.AST)
            ),
        )


def _touched_files(repository: Path, base: str) -> Sequence[str]:
    """Test files that differ from those of the base, or are gone; all where there is no base."""
    if not base:
        return [str(file.relative_to(repository)) for file in repository.glob("tests/**/test_*.py")]
    differing = _git(repository, "diff", "--name-only", "--no-renames", base, "--", "tests")
    untracked = _git(repository, "ls-files", "--others", "--exclude-standard", "--", "tests")
    names = {*differing.decode().splitlines(), *untracked.decode().splitlines()}
    return sorted(name for name in names if Path(name).match("test_*.py"))


def _sources(repository: Path, base: str, names: Sequence[str]) -> Iterator[str]:
    """The texts of these files as they were in the base; of those that it had."""
    if not base:
        return
    there = set(
        _git(repository, "ls-tree", "-r", "--name-only", base, "tests").decode().split("\n")
    )
    for name in there.intersection(names):
        yield _git(repository, "show", f"{base}:{name}").decode()


def _git(repository: Path, *command: str) -> bytes:
    return subprocess.run(["git", *command], cwd=repository, capture_output=True, check=True).stdout
