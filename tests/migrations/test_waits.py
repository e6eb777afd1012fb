"""Nobody who writes calls waits for a second while the database is migrated.

A migration that works on all rows of a table while calls cannot be written is refused: by its
statements, and by what it does to real rows beside somebody who writes. `make migrations`
measures with a million rows.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

import psycopg
import pytest
import sqlalchemy as sa
from alembic import command, op
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine, event, make_url
from sqlalchemy.pool import NullPool

from callcenter.platform.storage.database_roles import DatabaseRole
from callcenter.platform.storage.migrate import migrations
from callcenter.platform.storage.migration_plan import plan_migration
from callcenter.platform.storage.migration_steps import build_index, update_in_batches
from callcenter.platform.storage.table_rights import rights
from tests.migrations.test_migrations import at_step

#: What controllers write while callers speak.
CALLS = {
    each.relation
    for each in rights()
    if each.role == DatabaseRole.CONTROLLER and each.privilege in ("INSERT", "UPDATE")
}
#: Released before the rule (0.3.0 ends with 0073): they stay. No later one may be among them.
RELEASED = {
    *("0005", "0006", "0007", "0009", "0011", "0014", "0025", "0026", "0031", "0036", "0039"),
    *("0052", "0061", "0069", "0070", "0071", "0073"),
}
LAST_RELEASED = "0073"
FEW, MANY = 2000, 1_000_000  #: rows
LONGEST_WAIT = 1.0  #: seconds, at a million rows

FILL = """
    INSERT INTO appeal (id, number, channel, caller_kind, caller_number, received_at, ended_at,
        outcome, written)
    SELECT md5('appeal' || n)::uuid, lpad(n::text, 10, '0'), 'call', 'number',
        '+7701' || lpad(n::text, 7, '0'), now() - n * interval '1 second', now(), 'talked', false
    FROM generate_series(1, {rows}) AS n;
    INSERT INTO appeal_event (appeal_id, seq, at, kind, detail)
    SELECT id, 1, received_at, 'received', '{{}}' FROM appeal;
    INSERT INTO recording (id, appeal_id, spool_name, state, started_at, ended_at, fault)
    SELECT id, id, number, 'failed', received_at, ended_at, 'a test' FROM appeal;
    INSERT INTO record (appeal_id, version, stage, content, changed_at)
    SELECT id, 1, 'contact', '{{"applicant.safe_ways": ["call"]}}', received_at
    FROM appeal WHERE right(number, 1) = '0';
"""
WRITE = """
    WITH opened AS (
        INSERT INTO appeal (id, number, channel, caller_kind, received_at)
        VALUES (gen_random_uuid(), %(number)s, 'call', 'withheld', now()) RETURNING id
    ), begun AS (
        INSERT INTO recording (id, appeal_id, spool_name, state, started_at)
        SELECT gen_random_uuid(), id, %(number)s, 'recording', now() FROM opened
    )
    INSERT INTO appeal_event (appeal_id, seq, at, kind, detail)
    SELECT id, 1, now(), 'received', '{}' FROM opened
"""
END = "UPDATE appeal SET ended_at = now(), outcome = 'talked' WHERE number = %(number)s"

#: Modes of locks that let nobody write the table.
LOCKED = """
    SELECT relname FROM pg_locks JOIN pg_class ON pg_class.oid = relation
    WHERE pid = pg_backend_pid() AND granted AND relname = ANY(%(names)s) AND mode IN (
        'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
"""
WORKED = """
    SELECT coalesce(sum(pg_stat_get_xact_tuples_returned(oid)), 0),
        coalesce(sum(pg_stat_get_xact_tuples_updated(oid) + pg_stat_get_xact_tuples_deleted(oid))
            FILTER (WHERE relname = ANY(%(names)s)), 0)
    FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
"""


class Observer:
    """Finds statements that work on all rows while calls cannot be written."""

    def __init__(self, connection: Connection, rows: int) -> None:
        self.found: list[str] = []
        self._rows = rows
        self._read, self._changed = 0, 0  # before this statement, and before this transaction
        self._begins = True
        event.listen(connection, "before_cursor_execute", self._before)
        event.listen(connection, "after_cursor_execute", self._after)
        for end in ("commit", "rollback"):
            event.listen(connection, end, self._end)

    def _end(self, _: Connection) -> None:
        self._begins = True

    def _before(self, _: Connection, cursor: psycopg.Cursor, *__: object) -> None:
        if cursor.connection.autocommit:
            return
        self._read, changed = worked(cursor)
        if self._begins:
            self._changed, self._begins = changed, False

    def _after(self, _: Connection, cursor: psycopg.Cursor, statement: str, *__: object) -> None:
        if cursor.connection.autocommit:
            return
        with cursor.connection.cursor() as own:
            found = own.execute(LOCKED, {"names": sorted(CALLS)}).fetchall()
        locked = ", ".join(sorted(name for (name,) in found))
        read, changed = worked(cursor)
        said = " ".join(statement.split())[:60]
        if locked and read - self._read >= self._rows // 2:
            self.found.append(f"{said}: reads all rows while {locked} cannot be written")
        if changed - self._changed >= self._rows // 2:
            self.found.append(f"{said}: changes all rows in one transaction")


def worked(cursor: psycopg.Cursor) -> tuple[int, int]:
    """Rows that this session has read of any table, and has changed of those of calls."""
    with cursor.connection.cursor() as own:
        row = own.execute(WORKED, {"names": sorted(CALLS)}).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


class Writer:
    """Writes calls all the time, in a thread, and knows how long it waited."""

    def __init__(self, database: str) -> None:
        self._database = database
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.written, self.longest = 0, 0.0
        self.failed: Exception | None = None

    @contextmanager
    def at_work(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._ended.set()
            self._thread.join()

    def _run(self) -> None:
        try:
            with psycopg.connect(self._database, autocommit=True) as connection:
                while not self._ended.wait(0.01):
                    number = {"number": f"9{self.written:09}"}
                    begun = time.monotonic()
                    connection.execute(WRITE, number)
                    connection.execute(END, number)
                    self.longest = max(self.longest, time.monotonic() - begun)
                    self.written += 1
        except Exception as exc:  # the test tells it
            self.failed = exc


def waiting(module: ModuleType) -> set[str]:
    """The tables of calls that nobody writes while a migration works on rows."""
    return {name for each in plan_migration(module).statements for name in each.waiting & CALLS}


def test_no_migration_has_calls_wait_but_released_ones() -> None:
    # The first one makes the tables.
    found = {each.revision for each in migrations()[1:] if waiting(each.module)}
    assert found == RELEASED
    assert max(RELEASED) <= LAST_RELEASED


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_calls_are_written_while_it_is_migrated(empty_database: str, at_length: bool) -> None:
    rows = MANY if at_length else FEW
    newest = migrations()[-1].revision
    with at_step(empty_database, LAST_RELEASED) as (made, connection):
        connection.exec_driver_sql(FILL.format(rows=rows))
        connection.commit()
        observer, writer = Observer(connection, rows), Writer(empty_database)
        with writer.at_work():
            command.upgrade(made, newest)
    assert observer.found == []
    assert writer.failed is None
    if at_length:
        said = f"{writer.written} calls written, the longest wait {writer.longest:.2f} s"
        print(said)  # noqa: T201 - to whoever runs `make migrations`
        assert writer.longest < LONGEST_WAIT


def count_while_locked() -> None:
    op.add_column("appeal", sa.Column("more", sa.Text()))
    op.execute("CREATE TABLE counted AS SELECT count(*) FROM recording")


BAD: dict[str, Callable[[], object]] = {
    "index": lambda: op.create_index("ix_bad", "appeal", ["language"]),
    "check": lambda: op.create_check_constraint("bad", "recording", "spool_name <> ''"),
    "rewrite": lambda: op.execute("ALTER TABLE appeal ALTER COLUMN number TYPE varchar(20)"),
    "not_null": lambda: op.alter_column("appeal", "caller_number", nullable=False),
    "update": lambda: op.execute("UPDATE appeal SET language = 'kk'"),
    "read_while_locked": count_while_locked,
}


def index_beside() -> None:
    build_index("ix_good", "appeal", ["language"])


def column_in_batches() -> None:
    op.add_column("appeal", sa.Column("more", sa.Text()))
    update_in_batches("appeal", "id", "more = 'filled'", "more IS NULL")


def check_in_two_steps() -> None:
    op.create_check_constraint("good", "recording", "spool_name <> ''", postgresql_not_valid=True)
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE recording VALIDATE CONSTRAINT good")


GOOD: list[Callable[[], object]] = [index_beside, column_in_batches, check_in_two_steps]


def observed(database: str, migration: Callable[[], object]) -> list[str]:
    """What is found of a migration on rows that are there."""
    url = make_url(database).set(drivername="postgresql+psycopg")
    with create_engine(url, poolclass=NullPool).connect() as connection:
        connection.exec_driver_sql(FILL.format(rows=FEW))
        connection.commit()
        observer = Observer(connection, FEW)
        context = MigrationContext.configure(connection, opts={"transaction_per_migration": True})
        with Operations.context(context), context.begin_transaction(_per_migration=True):
            migration()
        return observer.found


@pytest.mark.parametrize("name", BAD)
def test_a_migration_that_has_calls_wait_is_found(database: str, name: str) -> None:
    assert observed(database, BAD[name]) != []


@pytest.mark.parametrize("migration", GOOD)
def test_a_migration_beside_calls_has_nobody_wait(
    database: str, migration: Callable[[], object]
) -> None:
    assert observed(database, migration) == []
    with psycopg.connect(database) as connection:
        if migration is column_in_batches:
            left = connection.execute("SELECT count(*) FROM appeal WHERE more IS NULL")
            assert left.fetchone() == (0,)
