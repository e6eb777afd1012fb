"""Which tests a run chooses: by their names and the seed, never by the clock.

Of the tests marked `slow` a sixth is drawn for each commit, so that all come to it in time and a
commit always draws the same. Slow tests of new and changed files always run.
"""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.gate.changes import RECENT
from tests.seeds import NoRepositoryError, git, hashed

SHARES = 6  # one of so many equal shares of the slow tests is drawn
#: Fields of the syntax tree that have a name, or a list of names.
_NAMES = {"arg", "attr", "id", "name", "names", "kwd_attrs", "rest"}


def is_drawn(seed: int, test: str) -> bool:
    return hashed(f"{seed} {test}") % SHARES == 0


def recently_changed(repository: Path) -> set[Path] | None:
    """Test files that were added or changed within RECENT before the commit, or since.

    A file that was moved, or in which things only got other names, other imports and other
    docstrings, has not changed: else a room that is renamed would run everything. Where no commit
    is as old, as in a shallow clone, every file has. None outside a repository.
    """
    try:
        committed_at = int(git(repository, "log", "-1", "--format=%ct"))
    except NoRepositoryError:
        return None
    before = f"--before={committed_at - RECENT}"
    base = git(repository, "rev-list", "-1", "--first-parent", before, "HEAD").strip()
    if not base:
        return set(repository.glob("tests/**/test_*.py"))
    touched = _touched_files(repository, base)
    old = {outline(git(repository, "show", f"{base}:{name}")) for name in touched[0]}
    files = (repository / name for name in touched[1])
    return {file for file in files if outline(file.read_text()) not in old}


def _touched_files(repository: Path, base: str) -> tuple[Sequence[str], Sequence[str]]:
    """Test files that differ from those of the base: as they are called there, and here."""
    differing = git(repository, "diff", "--name-only", "--no-renames", "-z", base, "--", "tests")
    untracked = git(repository, "ls-files", "--others", "--exclude-standard", "-z", "tests")
    names = {
        name for name in f"{differing}{untracked}".split("\0") if Path(name).match("test_*.py")
    }
    there = set(git(repository, "ls-tree", "-r", "--name-only", "-z", base, "tests").split("\0"))
    return sorted(names & there), sorted(name for name in names if (repository / name).exists())


def outline(source: str) -> str:
    """What a file of Python does, with its names numbered in the order in which they appear.

    Files have the same one when they differ in names, imports, comments and docstrings alone.
    What is no Python has its text.
    """
    try:
        return " ".join(_steps(ast.parse(source), {}))
    except SyntaxError:
        return source


def _steps(node: ast.AST, numbers: dict[str, int]) -> Iterator[str]:
    if isinstance(node, ast.Import | ast.ImportFrom) or _is_docstring(node):
        return
    yield type(node).__name__
    for key, value in ast.iter_fields(node):
        yield key
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, ast.AST):
                yield from _steps(each, numbers)
            elif key in _NAMES and isinstance(each, str):
                yield str(numbers.setdefault(each, len(numbers)))
            else:
                yield repr(each)


def _is_docstring(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
