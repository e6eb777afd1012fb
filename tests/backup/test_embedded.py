"""A restore of a small site: the embedded PostgreSQL is started for it alone."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from callcenter.backup import log_archive
from callcenter.backup.place import open_place
from callcenter.bootstrap.data_secrets import data_secrets, ensure_secrets
from callcenter.launcher.managed_process import LaunchContext
from callcenter.launcher.postgres import postgres
from callcenter.launcher.process_plan import product
from callcenter.launcher.supervisor import LaunchPlan, ProcessSupervisor, take_lock
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.database_roles import DatabaseRole, in_role
from callcenter.platform.storage.engine import (
    run_once_in_transaction,
    temporary_engine,
    unit_of_work,
)
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.platform.storage.table_rights import Right, find_differences
from tests.backup.conftest import with_backups
from tests.backup.test_backup import made
from tests.backup.test_restore import restored
from tests.services import changed, new_folder

COUNT = text("SELECT count(*) FROM audit_entry")
NEW_YEAR = text("INSERT INTO appeal_counter (year, last) VALUES (99, 7)")
YEARS = text("SELECT count(*) FROM appeal_counter WHERE year = 99")


async def rights_differ(settings: Settings) -> tuple[frozenset[Right], frozenset[Right]]:
    """Rights of processes that are too many, and those that are missing."""
    return await run_once_in_transaction(settings, lambda each: each.run_sync(find_differences))


@pytest.fixture
async def embedded(tools: WorkerResources, short_folder: Path) -> AsyncIterator[Settings]:
    """The settings of an empty machine whose servers are its own."""
    var = new_folder(short_folder / "again")
    yield changed(tools.settings, var=var, database_url=None)
    shutil.rmtree(var)


async def test_the_embedded_server_is_started_for_a_restore(
    tools: WorkerResources, embedded: Settings, offline_key: Path
) -> None:
    await made(tools)
    done = await restored(embedded, offline_key)
    assert done.exit_code == 0, done.output
    server = ProcessSupervisor(
        embedded, lambda here, common: LaunchPlan([[postgres(here, common)]]), print
    )
    await server.start()
    try:
        pages = in_role(embedded, DatabaseRole.WEB)
        count = await run_once_in_transaction(pages, lambda each: each.scalar(COUNT))
        assert count == 1  # that it was restored
        assert await rights_differ(embedded) == (frozenset(), frozenset())
    finally:
        await server.stop()


def part_of_plan(*names: str) -> Callable[[Settings, LaunchContext], LaunchPlan]:
    """Of the plan of all processes these alone, as confined as there."""

    def plan(settings: Settings, context: LaunchContext) -> LaunchPlan:
        stages = product(settings, context).stages
        return LaunchPlan([[each for each in stage if each.name in names] for stage in stages])

    return plan


async def archived_since(settings: Settings, since: datetime) -> None:
    """Wait until something of the log is archived that was not there at that time."""
    async with asyncio.timeout(60):
        while (log_archive.newest(open_place(settings), datetime.now(UTC)) or since) <= since:
            await asyncio.sleep(0.1)


async def test_the_log_of_the_embedded_server_is_archived(
    settings: Settings, short_folder: Path, tmp_path: Path, offline_key: Path
) -> None:
    folder, begun = new_folder(short_folder / "site"), datetime.now(UTC)
    backups = with_backups(settings, tmp_path, offline_key)
    here = changed(backups, var=folder, backup_method="continuous")
    server = ProcessSupervisor(here, part_of_plan("postgres", "migrate", "keys", "archiver"), print)
    await server.start()
    try:
        await archived_since(here, begun)
        async with temporary_engine(here) as engine:
            await ensure_secrets(here, engine, list(data_secrets(here)))
            await made(WorkerResources(here, engine))
            async with unit_of_work(engine) as connection:
                await connection.execute(NEW_YEAR)
    finally:
        await server.stop()
    # What waited for it is archived when it starts again.
    stopped = datetime.now(UTC)
    server = ProcessSupervisor(here, part_of_plan("postgres", "archiver"), print)
    await server.start()
    try:
        await archived_since(here, stopped)
    finally:
        await server.stop()
    again = changed(here, var=new_folder(short_folder / "again"))
    done = await restored(again, offline_key)
    assert done.exit_code == 0, done.output
    server = ProcessSupervisor(again, part_of_plan("postgres"), print)
    await server.start()
    try:
        assert await run_once_in_transaction(again, lambda each: each.scalar(YEARS)) == 1
    finally:
        await server.stop()
    for each in (here, again):
        shutil.rmtree(each.var)


async def test_no_restore_while_a_site_runs_here(
    tools: WorkerResources, embedded: Settings, offline_key: Path
) -> None:
    await made(tools)
    embedded.run.mkdir(parents=True)
    with take_lock(embedded.run / "up.lock"):
        refused = await restored(embedded, offline_key)
    assert "already running" in str(refused.exception)
