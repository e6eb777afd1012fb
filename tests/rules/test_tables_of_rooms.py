"""SQL names its own room's tables, which no import contract sees; services have none of it.

And what speaks HTTP leaves the audit log to services.
"""

import ast
import re
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

import callcenter
from tests.rules.test_personal_data import tables

PACKAGE = Path(callcenter.__file__).parent
_TABLE = re.compile(r'Table\(\s*"(\w+)"')
_STATEMENT = re.compile(r"\b(?:SELECT|UPDATE|INSERT|DELETE)\b")
_NAMED = re.compile(r"(?:\b(?:FROM|JOIN|UPDATE|INTO)|,)\s+(\w+)\b")
_QUALIFIED = re.compile(r"\b(\w+)\.(\w+)")


#: Build statements; `text` is for what is said to the server itself, as in a backup.
_BUILDERS = frozenset({"select", "insert", "update", "delete", "exists", "union_all"})
#: The four-eyes act and counted refusals, for the tables of any room: they are identity's own.
_OF_IDENTITY = {"platform/identity/approvals.py", "platform/identity/refusals.py"}


def source_of(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def owners() -> dict[str, str]:
    """The folder of each table."""
    return {
        name: file.parent.relative_to(PACKAGE).as_posix()
        for file in PACKAGE.rglob("tables.py")
        for name in _TABLE.findall(source_of(file))
    }


def qualified_columns() -> set[tuple[str, str]]:
    """Each table with each of its columns: a fragment of SQL names it by both."""
    return {(table.name, column.name) for table in tables() for column in table.c}


def named(source: str, columns: Collection[tuple[str, str]]) -> Iterator[str]:
    """Tables that the SQL of a module names, whole or in fragments, and stand-ins of tables."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Constant(value=str(value)):
                if _STATEMENT.search(value):
                    yield from _NAMED.findall(value)
                yield from (pair[0] for pair in _QUALIFIED.findall(value) if pair in columns)
            case ast.Call(
                func=ast.Name(id="table" | "Table") | ast.Attribute(attr="table" | "Table"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield name


def imports(file: Path) -> set[str]:
    """What a module imports by name, each with the package that it is from."""
    return {
        f"{node.module.partition('.')[0]}.{alias.name}"
        for node in ast.walk(ast.parse(source_of(file)))
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


def test_pages_and_apis_leave_audit_entries_to_services() -> None:
    writing = {
        (file.relative_to(PACKAGE).as_posix(), name)
        for file in PACKAGE.rglob("*.py")
        if file.stem.endswith(("api", "pages"))
        for name in imports(file)
        if re.fullmatch(r"callcenter\.(audit_\w+|record_once)", name)
    }
    assert writing == set()


def test_sql_names_only_tables_of_its_own_room() -> None:
    own, columns = owners(), qualified_columns()
    foreign = {
        (file.relative_to(PACKAGE).as_posix(), table)
        for file in PACKAGE.rglob("*.py")
        # A foreign key, in a tables file, names a column of another room by right.
        for table in named(source_of(file), () if file.name == "tables.py" else columns)
        if table in own and not file.is_relative_to(PACKAGE / own[table])
    }
    assert foreign == set()


def test_every_table_is_made_once_and_in_a_tables_file() -> None:
    made = [
        (name, file.name)
        for file in PACKAGE.rglob("*.py")
        for name in _TABLE.findall(source_of(file))
    ]
    assert {name for name, file in made if file != "tables.py"} == set()
    assert len(made) == len(owners())


@pytest.mark.parametrize(
    "source",
    [
        'text("SELECT 1 FROM promise")',
        'text("promise.state = 1")',
        'IS_OPEN = f"promise.state = {state}"',
        'literal_column("promise.state")',
        'table("promise", column("state"))',
        'sa.table("promise", sa.column("state"))',
        'Table("promise", MetaData())',
        'sa.Table("promise", sa.MetaData())',
    ],
)
def test_a_table_is_found_however_sql_names_it(source: str) -> None:
    assert set(named(source, qualified_columns())) == {"promise"}


@pytest.mark.parametrize("source", ['"promise.html"', "promise.state()", '"a promise. State it"'])
def test_what_only_looks_like_a_table_is_none(source: str) -> None:
    assert set(named(source, qualified_columns())) == set()
