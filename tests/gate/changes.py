"""Which test functions a change added or changed: what it is answerable for at once.

A change is what a branch has beyond main, or its clone beyond the main that it was cloned from. On
main itself, as in CI, it is what was committed within RECENT before the commit, or since.
"""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from tests.seeds import NoRepositoryError, git

RECENT = 6 * 3600  # seconds before a commit in which what was written belongs to the same change
MAINS = ("origin/main", "main")


class ChangedTests:
    """The test functions that differ from those of the base, as they stand in `repository`."""

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self._base = _base(repository)
        self._functions = cache(self._read)

    def has(self, test: str) -> bool:
        """Whether this test, named by its node id, belongs to the change."""
        file, *names = test.split("[")[0].split("::")
        return ".".join(names) in self._functions(file)

    def _read(self, file: str) -> set[str]:
        now = _functions((self._repository / file).read_text())
        before = _functions(self._text_before(file))
        return {name for name, function in now.items() if before.get(name) != function}

    def _text_before(self, file: str) -> str:
        if self._base is None:
            return ""
        try:
            return git(self._repository, "show", f"{self._base}:{file}")
        except NoRepositoryError:
            return ""


def _base(repository: Path) -> str | None:
    """The last commit before the change; none in a shallow clone or outside a repository."""
    for main in MAINS:
        try:
            base = git(repository, "merge-base", main, "HEAD").strip()
            if base != git(repository, "rev-parse", "HEAD").strip():
                return base
        except NoRepositoryError:
            continue
    try:
        committed_at = int(git(repository, "log", "-1", "--format=%ct"))
        before = f"--before={committed_at - RECENT}"
        return git(repository, "rev-list", "-1", "--first-parent", before, "HEAD").strip() or None
    except NoRepositoryError:
        return None


def _functions(source: str) -> Mapping[str, str]:
    """What each function and method of a file does, by its name; where it stands is nothing."""
    return dict(_named(ast.parse(source), ()))


def _named(node: ast.Module | ast.ClassDef, within: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for each in node.body:
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
            yield ".".join((*within, each.name)), ast.dump(each)
        elif isinstance(each, ast.ClassDef):
            yield from _named(each, (*within, each.name))
