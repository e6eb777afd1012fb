"""A restore is killed after any step: nobody uses what there is, and the next one goes on."""

import asyncio
from pathlib import Path

import psycopg
import pytest

from callcenter.backup import progress
from callcenter.launcher.managed_process import WAITS
from callcenter.launcher.supervisor import environment
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.database_roles import DatabaseRole
from callcenter.platform.storage.engine import RestoreUnfinished
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.platform.storage.migrate import migrate
from tests import fork_server
from tests.backup.test_backup import made
from tests.backup.test_restore import (
    RESTORE,
    again,
    empty,
    is_whole,
    lose,
    numbers,
    restored,
    rows,
    run,
    site,
    write,
)
from tests.process_killers import dies_after, dies_before
from tests.services import CALLCENTER, changed, opened_as
from tests.storage.recorded import TALKED, account

__all__ = ["empty", "site"]

DUMP = "callcenter.backup.postgres_programs.restore"


async def killed(empty: Settings, key: Path, step: str, *, before: bool = False) -> None:
    """A restore that ends at this step, as if by SIGKILL."""
    dies = dies_before if before else dies_after
    await dies(step, RESTORE, "restore", "--identity", str(key), env=environment(empty))


async def is_refused(empty: Settings) -> None:
    """Whoever would use the database cannot."""
    here = again(empty)
    with pytest.raises(RestoreUnfinished):
        await numbers(here)
    await here.engine.dispose()


@pytest.mark.slow
@pytest.mark.parametrize(
    "step",
    [
        "callcenter.backup.progress.begin",
        "callcenter.backup.archive.verify",
        "callcenter.backup.progress.fill_in",
        "callcenter.backup.site_restore.restore_files",
        DUMP,
        "callcenter.backup.restore.migrate",
        "callcenter.backup.restore.audit_action",  # of the numbers: not committed
        "callcenter.backup.restore._renumber",
        "callcenter.backup.continuity.write_numbers",
        "callcenter.backup.restore.move_superseded",
        "callcenter.backup.restore.account_for_calls",
        "callcenter.backup.restore.check_calls",
        "callcenter.backup.restore._repeat",
    ],
)
async def test_a_restore_killed_after_any_step_is_run_again(
    site: WorkerResources, empty: Settings, offline_key: Path, step: str
) -> None:
    lost = await lose(site, empty)
    await killed(empty, offline_key, step)
    await is_refused(empty)
    done = await restored(empty, offline_key)
    assert done.exit_code == 0, done.output
    await is_whole(empty, lost)


async def test_a_half_restored_site_serves_nobody(
    site: WorkerResources, empty: Settings, offline_key: Path
) -> None:
    lost = await lose(site, empty)
    await killed(empty, offline_key, DUMP)
    for command in (("migrate",), ("web",), ("keys", "make"), ("backup",), ("users", "list")):
        refused = await asyncio.to_thread(
            fork_server.run, (*CALLCENTER, *command), environment(empty)
        )
        assert refused.returncode == WAITS, command  # so callers are served meanwhile
        assert "is not finished: run the same `callcenter restore` again" in refused.stderr
    early = await run(empty, "restore", "--catch-up")
    assert isinstance(early.exception, RestoreUnfinished)
    await killed(empty, offline_key, "callcenter.backup.progress.end", before=True)
    await is_refused(empty)  # until all that was erased is so again
    assert (await run(empty, "restore", "--catch-up")).exit_code == 0
    await is_whole(empty, lost)


async def test_another_restore_than_was_begun_is_refused(
    site: WorkerResources, empty: Settings, offline_key: Path
) -> None:
    manifest, _ = await made(site)
    await killed(empty, offline_key, DUMP)
    refused = await restored(empty, offline_key, "--to", "2100-01-01")
    assert f"go on with `callcenter restore {manifest.name}`" in str(refused.exception)
    refused = await restored(empty, offline_key, "--signed-by", "f" * 64)
    assert "signed by another key" in str(refused.exception)
    assert (await restored(empty, offline_key)).exit_code == 0


async def test_a_restore_killed_within_the_dump_is_run_again(
    site: WorkerResources, empty: Settings, offline_key: Path
) -> None:
    lost = await lose(site, empty)
    waiting = "callcenter.backup.postgres_programs._require_success"
    await killed(empty, offline_key, waiting, before=True)  # pg_restore has all of it
    await is_refused(empty)
    done = await restored(empty, offline_key)
    assert done.exit_code == 0, done.output
    await is_whole(empty, lost)


@pytest.mark.parametrize("role", DatabaseRole)
async def test_each_process_is_refused_before_all_is_done(
    site: WorkerResources, empty: Settings, role: DatabaseRole
) -> None:
    """Also where the owner makes its tables in another schema than they look into."""
    with psycopg.connect(empty.database, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA postgres")
    await asyncio.to_thread(progress.begin, empty)
    async with opened_as(role, changed(site.settings, database_url=empty.database_url)) as engine:
        with pytest.raises(RestoreUnfinished):
            await engine.connect()


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("progress.begin", "the database is not empty"),
        ("site_restore.restore_files", "what is in the database is not of this backup"),
    ],
)
async def test_tables_of_somebody_else_are_not_taken_for_the_backup(
    site: WorkerResources, empty: Settings, offline_key: Path, step: str, said: str
) -> None:
    write(site, TALKED)
    await account(site)
    await made(site)
    await killed(empty, offline_key, f"callcenter.backup.{step}")
    await asyncio.to_thread(migrate, empty, is_restoring=True)  # as one that had looked before
    refused = await restored(empty, offline_key)
    assert said in str(refused.exception)
    await is_refused(empty)


async def test_two_restores_at_once_are_refused(
    site: WorkerResources, empty: Settings, offline_key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await made(site)
    with progress.exclusive(empty):
        monkeypatch.setattr(progress, "LIMITS", "SET lock_timeout = 1")
        refused = await restored(empty, offline_key)
    assert "another restore is at work in this database" in str(refused.exception)
    assert (await restored(empty, offline_key)).exit_code == 0


async def test_processes_have_no_rights_before_all_is_done(
    site: WorkerResources, empty: Settings, offline_key: Path
) -> None:
    """So one that is connected since before, or of another version, reads nothing."""
    await made(site)
    await killed(empty, offline_key, "callcenter.backup.restore.account_for_calls")
    may_read = "SELECT has_table_privilege('callcenter_web', 'appeal', 'SELECT')"
    here = again(empty, is_restoring=True)
    assert await rows(here, may_read) == [(False,)]
    assert (await restored(empty, offline_key)).exit_code == 0
    assert await rows(here, may_read) == [(True,)]
    await here.engine.dispose()


async def test_a_database_that_is_in_use_is_not_restored_into(
    site: WorkerResources, empty: Settings, offline_key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has connected before does not look again whether it is half restored."""
    await made(site)
    with monkeypatch.context() as patched, psycopg.connect(empty.database, application_name="old"):
        patched.setattr(progress, "OTHERS_LIMIT", 0.0)
        refused = await restored(empty, offline_key)
    # A session of our own may not have ended yet, either.
    assert "the database is in use by its owner (old" in str(refused.exception)
    assert not empty.secrets_folder.exists()
    assert (await restored(empty, offline_key)).exit_code == 0


async def test_a_restore_that_left_no_table_begins_anew(
    site: WorkerResources, empty: Settings, offline_key: Path
) -> None:
    await made(site)
    await killed(empty, offline_key, DUMP, before=True)
    await is_refused(empty)
    done = await restored(empty, offline_key)
    assert done.exit_code == 0, done.output
    assert "restoring the database" in done.stderr
    here = again(empty)
    assert await rows(here, "SELECT to_regclass('unfinished_restore')") == [(None,)]
    await here.engine.dispose()
