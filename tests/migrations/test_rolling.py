"""A step of the database leaves processes of the version before it at work (docs/operations)."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, make_url
from sqlalchemy.pool import NullPool

from callcenter.errors import NotReady
from callcenter.settings import ROOT, Settings
from callcenter.storage.migrate import migrate

COLUMNS = """
    SELECT table_name, column_name, udt_name, is_nullable = 'NO' AS required,
        column_default IS NOT NULL OR is_identity = 'YES' OR is_generated = 'ALWAYS' AS filled
    FROM information_schema.columns
    WHERE table_schema = 'public' AND left(table_name, 13) <> 'procrastinate'
"""


@dataclass(frozen=True)
class Column:
    type: str
    required: bool
    filled: bool  #: by the database, when nobody says what goes in


Tables = dict[tuple[str, str], Column]


def config() -> Config:
    made = Config()
    made.set_main_option("script_location", str(ROOT / "migrations"))
    return made


def steps() -> list[str]:
    """From the first to the newest."""
    return [s.revision for s in ScriptDirectory.from_config(config()).walk_revisions()][::-1]


def what_breaks(before: Tables, after: Tables) -> Iterator[str]:
    """What statements that were written for the tables before cannot bear."""
    known = {table for table, _ in before}
    for (table, name), column in before.items():
        now = after.get((table, name))
        if now is None:
            yield f"{table}.{name} is gone or has another name"
        elif now.type != column.type:
            yield f"{table}.{name} was {column.type}, and is {now.type}"
        elif now.required and not column.required and not now.filled:
            yield f"{table}.{name} must be given now"
        elif column.filled and not now.filled and now.required:
            yield f"{table}.{name} is not filled by the database any more"
    for (table, name), column in after.items():
        if (table, name) not in before and table in known and column.required and not column.filled:
            yield f"{table}.{name} is new, and must be given"


def test_no_step_takes_from_the_version_before_it_what_it_works_with(empty_database: str) -> None:
    engine = create_engine(
        make_url(empty_database).set(drivername="postgresql+psycopg"), poolclass=NullPool
    )
    made, before, broken = config(), Tables(), dict[str, list[str]]()
    with engine.connect() as connection:
        made.attributes["connection"] = connection
        for step in steps():
            command.upgrade(made, step)
            rows = connection.exec_driver_sql(COLUMNS)
            after = {(table, name): Column(*rest) for table, name, *rest in rows}
            if found := list(what_breaks(before, after)):
                broken[step] = found
            before = after
            connection.commit()
    assert broken == {}
    assert len(before) > 100


def test_what_would_break_is_found() -> None:
    plain, given = Column("text", False, False), Column("text", True, False)
    before = {("appeal", "a"): plain, ("appeal", "b"): plain, ("appeal", "c"): plain}
    after = {
        ("appeal", "a"): given,
        ("appeal", "b"): Column("int4", False, False),
        ("appeal", "d"): given,
        ("appeal", "e"): Column("text", True, True),
        ("new", "a"): given,
    }
    assert set(what_breaks(before, after)) == {
        "appeal.a must be given now",
        "appeal.b was text, and is int4",
        "appeal.c is gone or has another name",
        "appeal.d is new, and must be given",
    }


def test_a_step_that_cannot_have_a_table_soon_gives_up_and_changes_nothing(
    settings: Settings, database: str
) -> None:
    with psycopg.connect(database, autocommit=True) as ours:
        newest = steps()[-1]
        ours.execute("UPDATE alembic_version SET version_num = %s", (newest,))
    with psycopg.connect(database) as busy:
        busy.execute("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(NotReady, match="nothing was changed"):
            migrate(settings)
    migrate(settings)


# The code of the version before, at work

WORK = """
import asyncio, sys
from datetime import UTC, datetime
from uuid import uuid4
from callcenter.appeals import store as appeals
from callcenter.appeals.callers import read_caller
from callcenter.line.entries import (
    Closed, Happened, LanguageSettled, Opened, RecordingBegan, RecordingEnded)
from callcenter.line.outcomes import Moment, Outcome
from callcenter.recordings import store as recordings
from callcenter.settings import read_settings
from callcenter.storage.engine import open_database, unit_of_work
from callcenter.controller.writing import Writing

import callcenter
assert callcenter.__file__.startswith(sys.argv[1]), callcenter.__file__

async def main():
    engine = open_database(read_settings())
    appeal, recording, now = uuid4(), uuid4(), datetime.now(UTC)
    writing = Writing(engine)
    await writing.write([
        Opened(appeal, "call-1", read_caller("+77011234567"), now),
        Happened(appeal, 1, Moment.RECEIVED, now, {}),
        LanguageSettled(appeal, "ru"),
        RecordingBegan(appeal, recording, None, "file.raw", now)])
    await writing.write([
        RecordingEnded(appeal, recording, now), Closed(appeal, Outcome.TALKED, now)])
    await writing.close()
    async with unit_of_work(engine) as connection:
        (row,) = await appeals.newest(connection, before=None, limit=10)
        assert (row.outcome, row.language) == ("talked", "ru"), row
        (kept,) = await recordings.of_appeal(connection, appeal)
        assert kept.state == "closed", kept
        assert len(await appeals.events(connection, appeal)) == 1
    await engine.dispose()
    print("at work")

asyncio.run(main())
"""


def previous_code(folder: Path) -> Path:
    """The newest tree of ours that does not know the newest step; skips where git knows none."""
    newest = max((ROOT / "migrations" / "versions").glob("[0-9]*.py")).relative_to(ROOT)
    git = ("git", "-C", str(ROOT))
    try:
        adding = ("log", "--diff-filter=A", "--format=%H", "-1", "--", str(newest))
        added = subprocess.run((*git, *adding), capture_output=True, text=True, check=True).stdout
        before = f"{added.strip() or 'HEAD'}^" if added.strip() else "HEAD"
        packed = subprocess.run(
            (*git, "archive", before, "callcenter"), capture_output=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("git has no version before the newest step here: a shallow clone, or none")
    subprocess.run(("tar", "-x", "-C", folder), input=packed, check=True)
    return folder


def test_the_code_of_the_version_before_works_with_the_new_tables(
    tmp_path: Path, database: str
) -> None:
    tree = previous_code(tmp_path)
    environment = os.environ | {
        "CALLCENTER_DATABASE_URL": database,
        "CALLCENTER_VAR": str(tmp_path / "var"),
        "PYTHONPATH": str(tree),
    }
    program = (sys.executable, "-P", "-c", WORK, str(tree))
    done = subprocess.run(program, cwd=tree, env=environment, capture_output=True, text=True)
    assert done.stdout == "at work\n", done.stderr
