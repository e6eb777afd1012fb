"""A service of a controller asks what it holds to change; it sets no attribute of it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import callcenter

PACKAGE = Path(callcenter.__file__).parent
SERVICES = ("bootstrap", "telephony/asterisk", "telephony/controller", "telephony/acd")


def set_from_outside(tree: ast.AST) -> Iterator[str]:
    """Each `self.held.attribute` that is assigned."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Attribute(value=ast.Name("self")), ctx=ast.Store()):
                yield ast.unparse(node)


def test_a_service_sets_no_attribute_of_what_it_holds() -> None:
    found = {
        f"{path.name}: {each}"
        for folder in SERVICES
        for path in (PACKAGE / folder).rglob("*.py")
        for each in set_from_outside(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found == set()
