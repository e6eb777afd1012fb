"""Plan of pending migrations: what each does, how long it takes, and who waits meanwhile.

The statements are those that Alembic would run; rates are of two busy cores (docs/performance.md).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.pool import NullPool

from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import CONNECT_ARGUMENTS, database_address, unreachable
from callcenter.platform.storage.migrate import migrations

#: Seconds for a million rows.
READ, INDEX, WRITE = 1.0, 5.0, 30.0

_NAME = r'(?:IF (?:NOT )?EXISTS )?"?(\w+)"?'


@dataclass(frozen=True)
class Rule:
    """A kind of statement: the groups of the pattern are the tables that it works on.

    `rate` is seconds for a million rows, 0 for what is done in a moment. `locks`: until the end of
    the transaction nobody writes the table.
    """

    pattern: re.Pattern[str]
    rate: float
    locks: bool


def _rule(pattern: str, rate: float, *, locks: bool) -> Rule:
    return Rule(re.compile(pattern, re.I), rate, locks)


_ALTER = rf"ALTER TABLE (?:ONLY )?{_NAME} "
#: The first that fits counts.
RULES = (
    _rule(rf"CREATE (?:UNIQUE )?INDEX CONCURRENTLY .*? ON {_NAME}", INDEX, locks=False),
    _rule(rf"CREATE (?:UNIQUE )?INDEX .*? ON {_NAME}", INDEX, locks=True),
    _rule(rf"{_ALTER}VALIDATE CONSTRAINT", READ, locks=False),
    _rule(rf"{_ALTER}ADD .*(?:NOT VALID|USING INDEX)", 0, locks=True),
    _rule(rf"{_ALTER}ADD CONSTRAINT .*(?:PRIMARY KEY|UNIQUE|EXCLUDE)", INDEX, locks=True),
    _rule(rf"{_ALTER}ADD CONSTRAINT", READ, locks=True),
    _rule(
        rf"{_ALTER}ADD COLUMN .*(?:\bSTORED\b|IDENTITY|SERIAL|DEFAULT \w*(?:random|clock))",
        WRITE,
        locks=True,
    ),
    _rule(rf"{_ALTER}ALTER COLUMN \S+ (?:SET DATA )?TYPE", WRITE, locks=True),
    _rule(rf"{_ALTER}ALTER COLUMN \S+ SET NOT NULL", READ, locks=True),
    _rule(_ALTER, 0, locks=True),
    _rule(rf"CREATE (?:OR REPLACE )?(?:CONSTRAINT )?TRIGGER .*? ON {_NAME}", 0, locks=True),
    _rule(rf"DROP TRIGGER .*? ON {_NAME}", 0, locks=True),
    _rule(rf"(?:TRUNCATE|DROP TABLE|TRUNCATE TABLE) {_NAME}", 0, locks=True),
    _rule(rf"(?:WITH .*\b)?UPDATE (?:ONLY )?{_NAME} (?:AS \w+ )?SET", WRITE, locks=False),
    _rule(rf"(?:WITH .*\b)?DELETE FROM {_NAME}", WRITE, locks=False),  # noqa: S608 - a pattern
    _rule(r"INSERT INTO (\w+) .* WHERE EXISTS \(", 0, locks=False),
    _rule(r"(?:WITH .*\b)?INSERT INTO (\w+) .* (?:FROM|JOIN) ", WRITE, locks=False),
)
_SOURCES = re.compile(rf"(?:FROM|JOIN) {_NAME}", re.I)
_CREATE_TABLE = re.compile(rf"CREATE TABLE {_NAME}", re.I)
_ENDS = re.compile(r"(?:COMMIT|BEGIN)\b", re.I)
_CONSTRAINS = re.compile(r"CREATE TABLE|ALTER TABLE .* FOREIGN KEY", re.I)
_INSERTS = re.compile(r"INSERT INTO", re.I)
#: Rows are locked until the transaction ends; that of a batch is short (`update_in_batches`).
_CHANGES = re.compile(
    r"(?!.*\bIN \(SELECT .* LIMIT \d+\))(?:(?:WITH .*\b)?UPDATE|(?:WITH .*\b)?DELETE)\b", re.I
)
_REFERENCES = re.compile(rf"REFERENCES {_NAME}", re.I)


@dataclass(frozen=True)
class PlannedStatement:
    """A statement that works on the rows of tables; nobody writes those `waiting` meanwhile."""

    text: str
    tables: Sequence[str]
    rate: float
    waiting: frozenset[str]


@dataclass(frozen=True)
class PlannedMigration:
    """A pending migration with its statements that take time; none: it is done in a moment."""

    revision: str
    title: str
    statements: Sequence[PlannedStatement]


@dataclass(frozen=True)
class MigrationPlan:
    """Pending migrations in their order, and the rows of each table."""

    pending: Sequence[PlannedMigration]
    rows: Mapping[str, int] = field(repr=False)

    def largest(self, statement: PlannedStatement) -> tuple[int, str]:
        """The rows of the largest table that the statement works on, and its name."""
        return max((self.rows.get(each, 0), each) for each in statement.tables)

    def seconds(self, statement: PlannedStatement) -> float:
        """About how long it takes."""
        return self.largest(statement)[0] * statement.rate / 1e6


def read_plan(settings: Settings) -> MigrationPlan:
    """The plan for this database; changes nothing. Raises DependencyUnavailable."""
    engine = create_engine(
        database_address(settings), poolclass=NullPool, connect_args=CONNECT_ARGUMENTS
    )
    try:
        with engine.connect() as connection:
            rows = {str(name): int(count) for name, count in connection.execute(_ROWS)}
            try:
                current = connection.scalar(text("SELECT version_num FROM alembic_version"))
            except ProgrammingError:
                current = None
    except OperationalError as exc:
        raise unreachable(exc) from exc
    scripts = migrations()
    if not current:  # nothing is there to be worked on
        empty = [PlannedMigration(each.revision, _title(each.module), ()) for each in scripts]
        return MigrationPlan(empty, {})
    done = [each.revision for each in scripts].index(current) + 1
    return MigrationPlan([plan_migration(each.module) for each in scripts[done:]], rows)


def plan_migration(module: ModuleType) -> PlannedMigration:
    """Plan a migration by the statements that it would run."""
    return PlannedMigration(module.revision, _title(module), list(_work(statements_of(module))))


def _title(module: ModuleType) -> str:
    return (module.__doc__ or "").partition("\n")[0]


def statements_of(module: ModuleType) -> list[str]:
    """The statements of a migration, each on one line."""
    output = _Output()
    context = MigrationContext.configure(
        dialect_name="postgresql", opts={"as_sql": True, "output_buffer": output}
    )
    with Operations.context(context):
        module.upgrade()
    return [" ".join(each.split()) for each in output.written if each.strip()]


class _Output:
    """Output of Alembic, a statement at a time."""

    def __init__(self) -> None:
        self.written: list[str] = []

    def write(self, statement: str) -> None:
        self.written.append(statement)

    def flush(self) -> None:
        """Do nothing: statements are not held back."""


def _work(statements: Sequence[str]) -> Iterator[PlannedStatement]:
    """Statements that work on rows that are there, with the tables that are locked meanwhile."""
    new, locked = set[str](), set[str]()
    for statement in statements:
        if _ENDS.match(statement):
            locked.clear()
            continue
        if created := _CREATE_TABLE.match(statement):
            new.add(created[1])
        if _CONSTRAINS.match(statement):
            locked |= set(_REFERENCES.findall(statement)) - new
        rule, table = _match(statement)
        if rule is None or (table in new and not _INSERTS.search(statement)):
            continue
        if rule.locks:
            locked.add(table)
        if rule.rate:
            tables = [table]
            if _INSERTS.search(statement):  # what it reads
                tables = sorted(set(_SOURCES.findall(statement)) - new) or tables
            rows_of = {table} if _CHANGES.match(statement) else set()
            yield PlannedStatement(statement, tables, rule.rate, frozenset(locked | rows_of))


def _match(statement: str) -> tuple[Rule | None, str]:
    """The rule of a statement, and the table that it writes."""
    for rule in RULES:
        if found := rule.pattern.match(statement):
            return rule, found[1]
    return None, ""


_ROWS = text(
    """
    SELECT pg_class.relname, greatest(reltuples, coalesce(n_live_tup, 0), 0)::bigint
    FROM pg_class LEFT JOIN pg_stat_user_tables ON relid = pg_class.oid
    WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace
    """
)
