"""The audit log in the real PostgreSQL: what refuses changes, and what finds them."""

import asyncio
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from click.testing import CliRunner
from pydantic import SecretStr
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from callcenter.appeals.actions import AppealAction
from callcenter.cli import callcenter
from callcenter.commands import worker
from callcenter.platform.audit import checkpoint_files, store
from callcenter.platform.audit.checkpoint_files import KeyMismatch
from callcenter.platform.audit.jobs import sign_checkpoint
from callcenter.platform.audit.store import read_log, record
from callcenter.platform.core.errors import CallcenterError
from callcenter.platform.core.secrets import make_secret
from callcenter.platform.core.settings import ROOT, Settings
from callcenter.platform.storage.engine import open_database, unit_of_work
from callcenter.platform.storage.jobs import WorkerResources, connected
from callcenter.platform.storage.migrate import migrate

DAY = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
GUARDS_OFF = "ALTER TABLE audit_entry DISABLE TRIGGER append_only; "
GUARDS_ON = "; ALTER TABLE audit_entry ENABLE ALWAYS TRIGGER append_only"

Verify = Callable[[], str]


async def note(connection: AsyncConnection, subject: str) -> None:
    await record(
        connection,
        who="user:aigul",
        action=AppealAction.APPEAL_VIEWED,
        subject=subject,
        detail={"by": "page", "ә": 3},
        from_address="127.0.0.1",
    )


async def write(engine: AsyncEngine, entries: int) -> None:
    for number in range(entries):
        async with unit_of_work(engine) as connection:
            await note(connection, f"appeal:{number}")


async def at_work(tools: WorkerResources, task: str) -> None:
    """A worker does this, as it does by itself in its time."""
    worker.load_jobs()
    async with connected(tools.settings) as app:
        assert task in {name for name, _ in app.periodic_registry.periodic_tasks}
        await app.configure_task(task).defer_async(timestamp=0)
        await app.run_worker_async(
            wait=False, install_signal_handlers=False, additional_context={"tools": tools}
        )


async def write_and_sign(settings: Settings, at: datetime, entries: int) -> None:
    engine = open_database(settings)
    try:
        await write(engine, entries)
        await sign_checkpoint(WorkerResources(settings, engine), at)
    finally:
        await engine.dispose()


@pytest.fixture
def log(database: str, settings: Settings) -> Settings:
    """Twelve entries, the first six signed yesterday and ten today; the settings to reach them."""
    asyncio.run(write_and_sign(settings, DAY - timedelta(days=1), 6))
    asyncio.run(write_and_sign(settings, DAY, 4))
    asyncio.run(write_and_sign(settings, DAY, 2))
    return settings


@pytest.fixture
def verify(settings: Settings, database: str, monkeypatch: pytest.MonkeyPatch) -> Verify:
    """`callcenter audit verify` on this test's database and heads: what it says."""
    monkeypatch.setenv("CALLCENTER_DATABASE_URL", database)
    monkeypatch.setenv("CALLCENTER_VAR", str(settings.var))

    def verify() -> str:
        result = CliRunner().invoke(callcenter, ["audit", "verify"])
        if isinstance(result.exception, CallcenterError):
            return f"{result.output}{result.exception}"
        if result.exception is not None:
            raise result.exception
        return result.output

    return verify


def tamper(database: str, statement: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(statement.encode())


def test_a_log_that_nobody_touched_is_reported_as_sound(log: Settings, verify: Verify) -> None:
    said = verify()
    assert said.startswith("12 entries are as they were written\n2 signed heads agree, the newest")
    assert "of 2026-11-24 for entry 10" in said


def test_empty_and_unsigned_logs_are_distinguished_from_signed_ones(
    settings: Settings, verify: Verify
) -> None:
    assert verify() == (
        "0 entries are as they were written\n"
        "no signed head yet: that the newest entries were cut off would not be noticed\n"
    )


@pytest.mark.parametrize(
    ("statement", "reported"),
    [
        ("UPDATE audit_entry SET who = 'user:asel' WHERE id = 4", ["entry 4: not what"]),
        ("UPDATE audit_entry SET action = 'x' WHERE id = 1", ["entry 1: not what"]),
        ("UPDATE audit_entry SET subject = subject || ' ' WHERE id = 12", ["entry 12: not what"]),
        ("UPDATE audit_entry SET at = at + interval '1 us' WHERE id = 4", ["entry 4: not what"]),
        ("UPDATE audit_entry SET at = 'infinity' WHERE id = 4", ["entry 4: not what"]),
        ("UPDATE audit_entry SET at = '0044-03-15 BC' WHERE id = 4", ["entry 4: not what"]),
        ("UPDATE audit_entry SET from_address = NULL WHERE id = 4", ["entry 4: not what"]),
        (
            """UPDATE audit_entry SET detail = jsonb_set(detail, '{ә}', '3.0') WHERE id = 4""",
            ["entry 4: not what"],
        ),
        (
            'UPDATE audit_entry SET detail = (\'[["by", "page"], ["ә", 3]]\')::jsonb WHERE id = 4',
            ["entry 4: not what"],
        ),
        ("UPDATE audit_entry SET detail = '1e9999' WHERE id = 4", ["entry 4: not what"]),
        (
            "UPDATE audit_entry SET hash = sha256('') WHERE id = 4",
            ["entry 4: not what", "entry 5: not what"],
        ),
        ("DELETE FROM audit_entry WHERE id = 4", ["entry 4: missing"]),
        ("DELETE FROM audit_entry WHERE id < 4", ["entries 1 to 3: missing"]),
        ("DELETE FROM audit_entry WHERE id > 8", ["entries 9 to 10: cut off"]),
        ("TRUNCATE audit_entry", ["entries 1 to 10: cut off"]),
        (
            "UPDATE audit_entry SET id = CASE id WHEN 4 THEN 1004 ELSE 1005 END WHERE id IN (4, 5);"
            "UPDATE audit_entry SET id = CASE id WHEN 1004 THEN 5 ELSE 4 END WHERE id > 1000",
            ["entry 4: not what", "entry 5: not what", "entry 6: not what"],
        ),
        (
            "ALTER TABLE audit_entry DROP CONSTRAINT pk_audit_entry;"
            "INSERT INTO audit_entry SELECT * FROM audit_entry WHERE id = 4",
            ["entry 4: there twice"],
        ),
        (
            "ALTER TABLE audit_entry ALTER COLUMN who DROP NOT NULL;"
            "UPDATE audit_entry SET who = NULL WHERE id = 4",
            ["entry 4: not what"],
        ),
        (
            "INSERT INTO audit_entry SELECT 13, at, who, action, subject, detail, from_address,"
            " hash FROM audit_entry WHERE id = 12",
            ["entry 13: not what"],
        ),
    ],
)
def test_any_tampering_with_the_table_is_found_and_located(
    log: Settings, database: str, verify: Verify, statement: str, reported: list[str]
) -> None:
    tamper(database, GUARDS_OFF + statement + GUARDS_ON)
    said = verify().splitlines()
    assert [line.startswith(start) for line, start in zip(said, reported, strict=False)] == [
        True for _ in reported
    ]
    assert said[len(reported)].startswith(f"{len(reported)} faults in the audit log")


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE audit_entry DISABLE TRIGGER append_only",
        "ALTER TABLE audit_entry ENABLE TRIGGER append_only",
        "ALTER TABLE audit_entry ENABLE REPLICA TRIGGER append_only",
        "DROP TRIGGER append_only ON audit_entry",
        "CREATE OR REPLACE FUNCTION audit_entry_is_append_only() RETURNS trigger LANGUAGE plpgsql "
        "AS $$ BEGIN RETURN NULL; END $$",
        "CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit_entry"
        " FOR EACH STATEMENT EXECUTE FUNCTION audit_entry_is_append_only()",
        "CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entry"
        " FOR EACH STATEMENT WHEN (current_user <> 'x') EXECUTE FUNCTION"
        " audit_entry_is_append_only(); ALTER TABLE audit_entry ENABLE ALWAYS TRIGGER append_only",
        "CREATE RULE nothing AS ON INSERT TO audit_entry DO INSTEAD NOTHING",
        "CREATE RULE nothing AS ON INSERT TO audit_entry WHERE NEW.who = 'x' DO INSTEAD NOTHING",
        "ALTER TABLE audit_entry ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE audit_entry DISABLE TRIGGER of_its_writer",
        "DROP TRIGGER of_its_writer ON audit_entry",
        "CREATE OR REPLACE FUNCTION audit_entry_is_of_its_writer() RETURNS trigger LANGUAGE plpgsql"
        " AS $$ BEGIN RETURN NEW; END $$",
    ],
)
def test_a_log_whose_guard_is_off_is_a_fault(
    log: Settings, database: str, verify: Verify, statement: str
) -> None:
    tamper(database, statement)
    said = verify().splitlines()
    assert said[0].startswith("a trigger that refuses changes of the audit log, or forged")
    assert said[1].startswith("1 faults in the audit log of 12 entries")


def test_entries_after_the_last_head_are_counted(log: Settings, verify: Verify) -> None:
    assert "\n2 entries since then are covered by no head yet\n" in verify()


def test_entries_written_anew_with_a_sound_chain_contradict_the_heads(
    log: Settings, database: str, verify: Verify
) -> None:
    tamper(database, GUARDS_OFF)
    tamper(database, "DELETE FROM audit_entry WHERE id > 7")
    asyncio.run(write_and_sign(log, DAY, 5))
    assert verify().startswith("entries 7 to 10: rewritten")


@pytest.mark.parametrize(
    "content", [b"", b"nothing", b"\xff" * 200, b"callcenter-audit-head-1 99 00 now AAAA\n"]
)
def test_a_file_that_is_no_head_is_named(log: Settings, verify: Verify, content: bytes) -> None:
    (log.audit_heads / "2026-11-23.head").write_bytes(content)
    assert verify().startswith("2026-11-23.head: not signed with the key beside it")


def test_heads_without_their_key_are_a_fault(log: Settings, verify: Verify) -> None:
    (log.audit_heads / "key.pem").unlink()
    assert "2026-11-24.head: not signed" in verify()
    (log.audit_heads / "key.pem").write_text("nothing")
    assert "holds no public key" in verify()


def test_heads_are_verified_with_public_tools_as_the_page_says(log: Settings) -> None:
    page = (ROOT / "docs" / "operations" / "running.md").read_text()
    steps = page[page.index("line=$(cat 2026-11-24.head)") :].partition("```")[0]

    def as_the_page_says() -> int:
        program = ["bash", "-euc", steps]
        return subprocess.run(
            program, cwd=log.audit_heads, check=False, capture_output=True
        ).returncode

    head = checkpoint_files.file_of(log.audit_heads, DAY)
    assert as_the_page_says() == 0
    said = head.read_text()
    head.unlink()
    head.write_text(said.replace(" 10 ", " 11 "))
    assert as_the_page_says() != 0


async def test_a_checkpoint_is_daily_and_none_of_an_empty_log(
    settings: Settings, engine: AsyncEngine
) -> None:
    tools = WorkerResources(settings, engine)
    await sign_checkpoint(tools, DAY)
    assert not settings.audit_heads.exists()
    await write(engine, 1)
    await asyncio.gather(*(sign_checkpoint(tools, DAY) for _ in range(5)))
    await write(engine, 1)
    await sign_checkpoint(tools, DAY + timedelta(hours=11))
    await sign_checkpoint(tools, DAY + timedelta(hours=12))
    saved = checkpoint_files.read_all(settings.audit_heads)
    assert [head.entry for head in saved.heads] == [1, 2]
    assert saved.not_signed == []


async def test_a_checkpoint_before_a_clock_change_is_not_todays(
    settings: Settings, engine: AsyncEngine, verify: Verify, caplog: pytest.LogCaptureFixture
) -> None:
    """The clock leaps ahead by eight days and is put back: all that is written later is signed."""
    tools, day = WorkerResources(settings, engine), timedelta(days=1)

    async def signed(at: datetime) -> list[str]:
        """The names of the files that come to be then, however often it is asked for."""
        before = {file.name for file in settings.audit_heads.glob("*.head")}
        for _ in range(3):
            await sign_checkpoint(tools, at)
        return sorted({file.name for file in settings.audit_heads.glob("*.head")} - before)

    await write(engine, 1)
    assert await signed(DAY) == ["2026-11-24.head"]
    await write(engine, 1)
    assert await signed(DAY + 8 * day) == ["2026-12-02.head"]
    assert "none was signed on 2026-11-25, 2026-11-26" in caplog.text
    await write(engine, 1)
    assert await signed(DAY) == ["2026-11-24-2.head"]
    assert "entry 3 is signed in 2026-11-24-2.head" in caplog.text
    for days in range(1, 8):
        await write(engine, 1)
        assert len(await signed(DAY + days * day)) == 1
    await write(engine, 1)
    assert await signed(DAY + 8 * day) == ["2026-12-02-2.head"]
    saved = checkpoint_files.read_all(settings.audit_heads)
    assert sorted(head.entry for head in saved.heads) == list(range(1, 12))
    assert "11 signed heads agree" in await asyncio.to_thread(verify)


async def test_days_without_checkpoint_are_named_and_covered_later(
    settings: Settings,
    engine: AsyncEngine,
    database: str,
    verify: Verify,
    caplog: pytest.LogCaptureFixture,
) -> None:
    tools, day = WorkerResources(settings, engine), timedelta(days=1)
    await write(engine, 1)
    await sign_checkpoint(tools, DAY)
    assert caplog.text == ""
    await write(engine, 3)
    await sign_checkpoint(tools, DAY + 3 * day)
    assert "none was signed on 2026-11-25, 2026-11-26, that of today covers" in caplog.text
    caplog.clear()
    await sign_checkpoint(tools, DAY + 4 * day)
    assert caplog.text == ""
    said = await asyncio.to_thread(verify)
    assert "2 days have no head of their own, a later one covers: 2026-11-25, 2026-11-26" in said
    for statement in (GUARDS_OFF, "UPDATE audit_entry SET who = 'x' WHERE id = 3"):
        await asyncio.to_thread(tamper, database, statement)
    assert "entry 3: not what" in await asyncio.to_thread(verify)


async def test_a_truncated_log_gets_one_checkpoint_a_day(
    settings: Settings, engine: AsyncEngine, database: str
) -> None:
    tools = WorkerResources(settings, engine)
    await write(engine, 5)
    await sign_checkpoint(tools, DAY)
    for statement in (GUARDS_OFF, "DELETE FROM audit_entry WHERE id > 2"):
        await asyncio.to_thread(tamper, database, statement)
    for _ in range(3):
        await sign_checkpoint(tools, DAY)
        await sign_checkpoint(tools, DAY + timedelta(days=1))
    assert len(list(settings.audit_heads.glob("*.head"))) == 2


async def test_no_checkpoint_is_written_that_its_key_cannot_verify(
    settings: Settings, engine: AsyncEngine
) -> None:
    tools = WorkerResources(settings, engine)
    await write(engine, 1)
    await sign_checkpoint(tools, DAY)
    (settings.secrets_folder / "audit").unlink()
    make_secret(settings.secrets_folder, "audit")
    with pytest.raises(KeyMismatch):
        await sign_checkpoint(tools, DAY + timedelta(days=1))
    assert len(list(settings.audit_heads.glob("*.head"))) == 1


async def test_a_checkpoint_on_demand_is_signed_beside_the_daily_one(
    settings: Settings, engine: AsyncEngine, caplog: pytest.LogCaptureFixture
) -> None:
    """Beside that of the day, which is no sign of a changed clock; and only for new entries."""
    tools = WorkerResources(settings, engine)
    await write(engine, 1)
    await sign_checkpoint(tools, DAY)
    await write(engine, 2)
    later = DAY + timedelta(hours=1)
    await asyncio.gather(*(sign_checkpoint(tools, later, at_once=True) for _ in range(3)))
    await write(engine, 1)
    await sign_checkpoint(tools, DAY + timedelta(hours=2))
    saved = checkpoint_files.read_all(settings.audit_heads)
    assert sorted(head.entry for head in saved.heads) == [1, 3]
    assert caplog.text == ""


async def test_a_worker_signs_the_head(settings: Settings, engine: AsyncEngine) -> None:
    await write(engine, 1)
    await at_work(WorkerResources(settings, engine), "audit.sign_head")
    assert [head.entry for head in checkpoint_files.read_all(settings.audit_heads).heads] == [1]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entry SET who = 'x'",
        "DELETE FROM audit_entry",
        "TRUNCATE audit_entry",
        "SET session_replication_role = replica; DELETE FROM audit_entry",
    ],
)
def test_the_log_refuses_changes_also_by_a_superuser(
    log: Settings, database: str, verify: Verify, statement: str
) -> None:
    with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
        tamper(database, statement)
    assert verify().startswith("12 entries")


@pytest.mark.parametrize("step", ["UPDATE audit_entry SET who = ''", "DELETE FROM audit_entry"])
def test_an_owning_role_has_no_right_to_change_the_log(
    settings: Settings, empty_database: str, step: str
) -> None:
    name = psycopg.conninfo.conninfo_to_dict(empty_database)["dbname"]
    tamper(empty_database, f"CREATE ROLE {name}_owner; ALTER DATABASE {name} OWNER TO {name}_owner")
    owned = f"{empty_database}&options=-c%20role%3D{name}_owner"
    migrate(settings.model_copy(update={"database_url": SecretStr(owned)}))
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        tamper(owned, GUARDS_OFF + step)


async def test_a_writer_waiting_too_long_fails_and_others_go_on(
    engine: AsyncEngine,
) -> None:
    async with engine.connect() as holder:
        await holder.begin()
        await note(holder, "of a writer that hangs")
        async with engine.connect() as other:
            await other.execute(text("SET LOCAL lock_timeout = 50"))
            with pytest.raises(DBAPIError, match="lock timeout"):
                await note(other, "of one who cannot wait")
        pid = (await holder.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        async with unit_of_work(engine) as killer:
            await killer.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        await holder.invalidate()
    await write(engine, 1)
    async with unit_of_work(engine) as connection:
        rows = [row async for batch in read_log(connection) for row in batch]
    assert [(row.id, row.subject) for row in rows] == [(1, "appeal:0")]


async def test_the_log_is_read_in_parts_whatever_its_length(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "BATCH", 5)
    await write(engine, 12)
    async with unit_of_work(engine) as connection:
        parts = [[row.id for row in part] async for part in read_log(connection)]
    assert parts == [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10], [11, 12]]


async def test_a_changed_log_alerts_supervisors_every_night(
    settings: Settings, engine: AsyncEngine, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    tools = WorkerResources(settings, engine)
    await write(engine, 1)
    await at_work(tools, "audit.verify")
    assert "audit log" not in caplog.text
    async with unit_of_work(engine) as connection:
        for statement in (
            GUARDS_OFF.rstrip("; "),
            "GRANT UPDATE ON audit_entry TO CURRENT_USER",
            "UPDATE audit_entry SET who = 'user:nobody'",
            GUARDS_ON.lstrip("; "),
        ):
            await connection.execute(text(statement))
    await at_work(tools, "audit.verify")
    assert "audit log verification failed: 1 faults in 1 entries" in caplog.text
    assert await redis.hgetall("desk:alarm_counts") == {"not_as_written": "1"}
