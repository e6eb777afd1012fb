"""A step of the database leaves processes of the version before it at work (docs/operations)."""

import ast
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

from callcenter.platform.core.errors import DependencyUnavailable
from callcenter.platform.core.settings import ROOT, Settings
from callcenter.platform.storage.migrate import migrate

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
    existing = {table for table, _ in before}
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
        if (
            (table, name) not in before
            and table in existing
            and column.required
            and not column.filled
        ):
            yield f"{table}.{name} is new, and must be given"


def test_no_step_breaks_the_version_before_it(empty_database: str) -> None:
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


def test_a_step_without_its_table_gives_up_unchanged(settings: Settings, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as ours:
        newest = steps()[-1]
        ours.execute("UPDATE alembic_version SET version_num = %s", (newest,))
    with psycopg.connect(database) as busy:
        busy.execute("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(DependencyUnavailable, match="this step was undone"):
            migrate(settings)
    migrate(settings)


# The code of the version before, at work. Each version brings its own program: names change.

HERE = Path(__file__).relative_to(ROOT)
WORK = """
import asyncio, sys
from datetime import UTC, datetime
from uuid import uuid4
from callcenter.appeals.calls import store as appeals
from callcenter.platform.core.caller_id import parse_caller_id
from callcenter.telephony.calls.journal.events import (
    CallClosed, CallOpened, EventRecorded, LanguageChosen, RecordingStarted, RecordingStopped)
from callcenter.telephony.calls.outcomes import CallEvent, Outcome
from callcenter.recordings import store as recordings
from callcenter.platform.core.settings import read_settings
from callcenter.platform.storage.engine import open_database, unit_of_work
from callcenter.telephony.controller.journal_writer import JournalWriter

import callcenter
assert callcenter.__file__.startswith(sys.argv[1]), callcenter.__file__

async def main():
    engine = open_database(read_settings())
    appeal, recording, now = uuid4(), uuid4(), datetime.now(UTC)
    writing = JournalWriter(engine)
    await writing.write([
        CallOpened(appeal, "call-1", parse_caller_id("+77011234567"), now),
        EventRecorded(appeal, 1, CallEvent.RECEIVED, now, {}),
        LanguageChosen(appeal, "ru"),
        RecordingStarted(appeal, recording, None, "file.raw", now)])
    await writing.write([
        RecordingStopped(appeal, recording, now), CallClosed(appeal, Outcome.TALKED, now)])
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
            (*git, "archive", before, "callcenter", str(HERE)), capture_output=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("git has no version before the newest step here: a shallow clone, or none")
    subprocess.run(("tar", "-x", "-C", folder), input=packed, check=True)
    return folder


def program_of(tree: Path) -> str:
    """`WORK` as the version in `tree` has it."""
    for statement in ast.parse((tree / HERE).read_text(encoding="utf-8")).body:
        match statement:
            case ast.Assign([ast.Name("WORK")], ast.Constant(str(text))):
                return text
    pytest.fail(f"{tree / HERE} has no WORK")


def test_the_former_versions_code_works_with_new_tables(tmp_path: Path, database: str) -> None:
    tree = previous_code(tmp_path)
    environment = os.environ | {
        "CALLCENTER_DATABASE_URL": database.replace("postgres@", "callcenter_controller@"),
        "CALLCENTER_VAR": str(tmp_path / "var"),
        "PYTHONPATH": str(tree),
    }
    program = (sys.executable, "-P", "-c", program_of(tree), str(tree))
    done = subprocess.run(program, cwd=tree, env=environment, capture_output=True, text=True)
    assert done.stdout == "at work\n", done.stderr
