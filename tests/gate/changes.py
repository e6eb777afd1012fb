"""Which test functions a change added or changed: what it is answerable for at once.

A change is what a branch has beyond main, or its clone beyond the main that it was cloned from. On
main itself, as in CI, it is what was committed within RECENT before the commit, or since.
"""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from tests.gate.git import GitError, read_git

RECENT = 6 * 3600  # seconds before a commit in which what was written belongs to the same change
MAINS = ("origin/main", "main")


class ChangedTests:
    """The test functions that differ from those of the base, as they stand in `repository`."""

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self._base = _base(repository)
        self._has_changed = cache(self._read)

    def has(self, test: str) -> bool:
        """Whether this test, named by its node id, belongs to the change."""
        file, *names = test.split("[")[0].split("::")
        return self._has_changed(file, ".".join(names))

    def _read(self, file: str, name: str) -> bool:
        text, text_before = (self._repository / file).read_text(), self._text_before(file)
        now, before = _functions(text), _functions(text_before)
        if name not in now:  # a machine of hypothesis, which is made of the whole file
            return text != text_before
        return before.get(name) != now[name]

    def _text_before(self, file: str) -> str:
        if self._base is None:
            return ""
        try:
            return read_git(self._repository, "show", f"{self._base}:{file}")
        except GitError:
            return ""


def _base(repository: Path) -> str | None:
    """The last commit before the change; none in a shallow clone or outside a repository."""
    for main in MAINS:
        try:
            base = read_git(repository, "merge-base", main, "HEAD").strip()
            if base != read_git(repository, "rev-parse", "HEAD").strip():
                return base
        except GitError:
            continue
    try:
        committed_at = int(read_git(repository, "log", "-1", "--format=%ct"))
        recent = f"--before={committed_at - RECENT}"
        first_parents = ("rev-list", "-1", "--first-parent", recent, "HEAD")
        return read_git(repository, *first_parents).strip() or None
    except GitError:
        return None


def _functions(source: str) -> Mapping[str, str]:
    """What each function and method does, by its name, wherever and however described."""
    return dict(_named(ast.parse(source), ()))


def _named(node: ast.Module | ast.ClassDef, within: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for each in node.body:
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
            if ast.get_docstring(each) is not None:
                del each.body[0]
            yield ".".join((*within, each.name)), ast.dump(each)
        elif isinstance(each, ast.ClassDef):
            yield from _named(each, (*within, each.name))
