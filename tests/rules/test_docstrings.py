"""First lines of docstrings: short, and about the thing itself."""

import ast
from collections.abc import Iterator
from pathlib import Path

PRODUCT = Path(__file__).parents[2] / "callcenter"
LONGEST = 88  # characters
CLAUSES = ("what", "who", "whose", "whoever")
#: The thing or the action comes first, not its circumstances.
CIRCUMSTANCES = ("of", "for", "as", "when", "until", "if", "it", "not", "nothing", "raises")
#: Of an error these are a message's own words: "Somebody else has changed this".
PERSONS = ("those", "somebody")


def _trees() -> dict[Path, ast.Module]:
    return {
        file: ast.parse(file.read_text(encoding="utf-8")) for file in sorted(PRODUCT.rglob("*.py"))
    }


def _errors(trees: dict[Path, ast.Module]) -> set[str]:
    """Names of the classes that are errors: their docstrings are the messages that people read."""
    bases = {
        node.name: {ast.unparse(base).rpartition(".")[2] for base in node.bases}
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    errors = {"Exception"}
    while more := {name for name, of in bases.items() if of & errors} - errors:
        errors |= more
    return errors


def _first_lines(*, with_errors: bool) -> Iterator[tuple[str, str]]:
    trees = _trees()
    errors = _errors(trees)
    for file, tree in trees.items():
        for node in ast.walk(tree):
            if not isinstance(
                node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
            ):
                continue
            if not with_errors and isinstance(node, ast.ClassDef) and node.name in errors:
                continue
            if text := ast.get_docstring(node):
                yield f"{file.relative_to(PRODUCT)}:{node.body[0].lineno}", text.splitlines()[0]


def test_first_lines_are_short_and_begin_with_thing_or_action() -> None:
    lines = dict(_first_lines(with_errors=True))
    assert len(lines) > 1000
    assert {at: line for at, line in lines.items() if len(line) > LONGEST} == {}
    assert _that_begin(lines, CLAUSES) == {}
    assert _that_begin(dict(_first_lines(with_errors=False)), PERSONS + CIRCUMSTANCES) == {}


def _that_begin(lines: dict[str, str], words: tuple[str, ...]) -> dict[str, str]:
    return {at: line for at, line in lines.items() if line.split()[0].lower() in words}
