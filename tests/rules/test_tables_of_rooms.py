"""SQL names its own room's tables, which no import contract sees; and services have none."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import callcenter

PACKAGE = Path(callcenter.__file__).parent
_TABLE = re.compile(r'Table\(\s*"(\w+)"')
_STATEMENT = re.compile(r"\b(?:SELECT|UPDATE|INSERT|DELETE)\b")
_NAMED = re.compile(r"(?:\b(?:FROM|JOIN|UPDATE|INTO)|,)\s+(\w+)\b")


#: Build statements; `text` is for what is said to the server itself, as in a backup.
_BUILDERS = frozenset({"select", "insert", "update", "delete", "exists", "union_all"})
#: The four-eyes act and counted refusals, for the tables of any room: they are identity's own.
_OF_IDENTITY = {"platform/identity/approvals.py", "platform/identity/refusals.py"}


def owners() -> dict[str, str]:
    """The folder of each table."""
    return {
        name: file.parent.relative_to(PACKAGE).as_posix()
        for file in PACKAGE.rglob("tables.py")
        for name in _TABLE.findall(file.read_text(encoding="utf-8"))
    }


def named(source: str) -> Iterator[str]:
    """Tables that the SQL of a module names, and stand-ins of tables."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Constant(value=str(value)) if _STATEMENT.search(value):
                yield from _NAMED.findall(value)
            case ast.Call(func=ast.Name(id="table"), args=[ast.Constant(value=str(name)), *_]):
                yield name


def imports(file: Path) -> set[str]:
    """What a module imports by name, each with the package that it is from."""
    return {
        f"{node.module.partition('.')[0]}.{alias.name}"
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }


def test_services_have_no_sql() -> None:
    """What takes an actor leaves statements to a store, or to queries of what the actor sees."""
    mixed = {
        file.relative_to(PACKAGE).as_posix()
        for file in PACKAGE.rglob("*.py")
        if not file.stem.endswith(("store", "queries"))
        and "callcenter.Actor" in (names := imports(file))
        and names & {f"sqlalchemy.{each}" for each in _BUILDERS}
    }
    assert mixed == _OF_IDENTITY


def test_sql_names_only_tables_of_its_own_room() -> None:
    own = owners()
    foreign = {
        (file.relative_to(PACKAGE).as_posix(), table)
        for file in PACKAGE.rglob("*.py")
        for table in named(file.read_text(encoding="utf-8"))
        if table in own and not file.parent.relative_to(PACKAGE).as_posix().startswith(own[table])
    }
    assert foreign == set()
