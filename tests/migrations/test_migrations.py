import ast
import asyncio
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from procrastinate.schema import SchemaManager
from pydantic import SecretStr
from sqlalchemy import CheckConstraint, Column, Connection, create_engine, make_url
from sqlalchemy.pool import NullPool

from callcenter.platform.core.errors import DependencyUnavailable
from callcenter.platform.core.settings import ROOT, Settings
from callcenter.platform.storage.metadata import metadata
from callcenter.platform.storage.migrate import migrate
from tests.services import CALLCENTER

#: A class after "see", or a column of another table.
NAMED = re.compile(r"(?<=see )(?!the\b)[\w.]+|\b[a-z_]+\.\w[\w.]+")

# All of them, whichever other tests run here and in whatever order.
for tables in sorted((ROOT / "callcenter").rglob("tables.py")):
    import_module(".".join(tables.with_suffix("").relative_to(ROOT).parts))


def pointed_at(settings: Settings, url: str) -> Settings:
    return settings.model_copy(update={"database_url": SecretStr(url)})


def described_columns() -> Iterator[Column[Any]]:
    for table in metadata.tables.values():
        yield from table.columns


def is_ours(name: str | None, kind: str, parents: object) -> bool:
    return kind != "table" or not (name or "").startswith("procrastinate_")


def test_migrations_make_the_tables_that_the_code_describes(database: str) -> None:
    engine = create_engine(
        make_url(database).set(drivername="postgresql+psycopg"), poolclass=NullPool
    )
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "target_metadata": metadata,
                "compare_server_default": True,
                "include_name": is_ours,
            },
        )
        assert compare_metadata(context, metadata) == []


def test_the_described_tables_are_those_of_every_room(database: str) -> None:
    described = {
        name
        for file in (ROOT / "callcenter").rglob("tables.py")
        for name in re.findall(r"= Table\(\s*\"(\w+)\"", file.read_text())
    }
    assert {"consultant", "appeal", "recording"} <= described == set(metadata.tables)


def test_comments_of_columns_name_classes_and_columns_that_exist() -> None:
    columns = {f"{each.table}.{each.name}" for each in described_columns()}
    trees = [ast.parse(file.read_text()) for file in (ROOT / "callcenter").rglob("*.py")]
    classes = {each.name for tree in trees for each in tree.body if isinstance(each, ast.ClassDef)}
    named = {
        (f"{column.table}.{column.name}", name)
        for column in described_columns()
        for name in NAMED.findall(column.comment or "")
    }
    assert {("ledger_call.call_id", "appeal.call_id")} <= named
    assert {each for each in named if each[1] not in columns | classes} == set()


def test_checks_of_the_database_are_those_that_the_code_describes(database: str) -> None:
    described = {
        constraint.name
        for table in metadata.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint)
    }
    with psycopg.connect(database) as connection:
        rows = connection.execute(
            "SELECT conname FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid"
            " WHERE contype = 'c' AND connamespace = 'public'::regnamespace"
            " AND relname NOT LIKE 'procrastinate%'"
        ).fetchall()
    assert {name for (name,) in rows} == described


def test_every_schema_step_of_the_jobs_is_in_a_migration() -> None:
    migrated = max(
        step
        for file in (ROOT / "migrations" / "versions").glob("*.py")
        for step in re.findall(r"\d\d\.\d\d\.\d\d_\d\d_\w+\.sql", file.read_text())
    )
    installed = max(step.name for step in Path(SchemaManager.get_migrations_path()).glob("*.sql"))
    assert installed == migrated, "add a migration that executes the newer steps of procrastinate"


async def test_processes_may_migrate_at_once(empty_database: str) -> None:
    environment = os.environ | {"CALLCENTER_DATABASE_URL": empty_database}
    processes = [
        await asyncio.create_subprocess_exec(*CALLCENTER, "migrate", env=environment)
        for _ in range(3)
    ]
    assert await asyncio.gather(*(process.wait() for process in processes)) == [0, 0, 0]
    with psycopg.connect(empty_database) as connection:
        assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM appeal").fetchone() == (0,)


def test_migrating_twice_changes_nothing(settings: Settings, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("INSERT INTO appeal_counter VALUES (26, 7)")
        migrate(settings)
        assert connection.execute("SELECT last FROM appeal_counter").fetchone() == (7,)


def test_a_database_that_is_not_there_is_named(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(DependencyUnavailable, match="start it"):
        migrate(pointed_at(settings, f"postgresql://postgres@/nothing?host={tmp_path}"))


@contextmanager
def at_step(database: str, step: str) -> Iterator[tuple[Config, Connection]]:
    """An empty database with the tables of an older version, and how to take it further."""
    engine = create_engine(
        make_url(database).set(drivername="postgresql+psycopg"), poolclass=NullPool
    )
    made = Config()
    made.set_main_option("script_location", str(ROOT / "migrations"))
    with engine.connect() as connection:
        made.attributes["connection"] = connection
        command.upgrade(made, step)
        yield made, connection


def test_earlier_recordings_know_what_became_of_their_calls(
    empty_database: str,
) -> None:
    with at_step(empty_database, "0046") as (made, connection):
        connection.exec_driver_sql(
            """
            WITH made AS (
                INSERT INTO appeal
                    (id, number, channel, language, caller_kind, received_at, ended_at, outcome)
                SELECT gen_random_uuid(), lpad(n::text, 10, '0'), 'call',
                    CASE n WHEN 2 THEN 'kk' END, 'withheld', now(),
                    CASE n WHEN 1 THEN now() END, CASE n WHEN 1 THEN 'talked' END
                FROM generate_series(1, 2) AS n RETURNING id, number
            )
            INSERT INTO recording (id, appeal_id, spool_name, state, started_at)
            SELECT gen_random_uuid(), id, number, 'recording', now() FROM made
            """
        )
        command.upgrade(made, "0052")
        query = "SELECT call_outcome FROM recording ORDER BY spool_name"
        assert list(connection.exec_driver_sql(query).scalars()) == ["talked", None]
        command.upgrade(made, "0070")
        query = "SELECT call_outcome, call_language FROM recording ORDER BY spool_name"
        assert list(connection.exec_driver_sql(query)) == [("talked", None), (None, "kk")]


def test_earlier_appeals_know_whether_they_have_a_record(
    empty_database: str,
) -> None:
    with at_step(empty_database, "0072") as (made, connection):
        opened = """
            INSERT INTO appeal (id, number, channel, caller_kind, received_at)
            SELECT gen_random_uuid(), lpad(n::text, 10, '0'), 'call', 'withheld', now()
            FROM generate_series({}) AS n
        """
        begun = """
            INSERT INTO record (appeal_id, version, stage, content, changed_at)
            SELECT id, 1, 'contact', '{{}}', now() FROM appeal WHERE number::int = {}
        """
        connection.exec_driver_sql(opened.format("1, 2"))
        connection.exec_driver_sql(begun.format(1))
        command.upgrade(made, "0073")
        connection.exec_driver_sql(opened.format("3, 4"))
        connection.exec_driver_sql(begun.format(3))
        query = "SELECT number::int FROM appeal WHERE written ORDER BY number"
        assert list(connection.exec_driver_sql(query).scalars()) == [1, 3]
