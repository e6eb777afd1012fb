"""A site whose log is archived comes back to any moment, not to that of a backup alone."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from callcenter.backup import log_archive
from callcenter.backup.continuity import write_notes
from callcenter.backup.log_archive import OLDEST
from callcenter.backup.place import open_place
from callcenter.backup.postgres_programs import base_backup
from callcenter.backup.recovery import choose_segments
from callcenter.backup.watch import BackupLate, look_at_log
from callcenter.launcher.port_check import with_free_ports
from callcenter.launcher.postgres import programs_of
from callcenter.platform.core.errors import InvalidRequest
from callcenter.platform.core.secrets import read_secret
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.engine import open_database, unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from callcenter.platform.storage.migrate import migrate
from callcenter.platform.storage.objects import ObjectStoreUnavailable
from callcenter.telephony.reconciliation import jobs
from callcenter.telephony.reconciliation.cel_tail import cel_file_of
from tests.backup.conftest import with_backups
from tests.backup.test_backup import made
from tests.backup.test_restore import again, mask, numbers, restored, rows, run, write
from tests.postgres import TEMPLATE, debian_server, execute, new_server, url_of
from tests.s3 import S3Server
from tests.services import changed, new_folder
from tests.storage.recorded import BUSY, REDIRECTED, TALKED, account


@pytest.fixture
async def site(
    settings: Settings,
    s3: S3Server,
    short_folder: Path,
    tmp_path: Path,
    offline_key: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[WorkerResources]:
    """A site with a server of its own, whose log goes to a bucket."""
    monkeypatch.setattr(jobs, "SWITCH_LIMIT", 0.1)
    folder = new_folder(short_folder / "moment")
    server = new_server(folder / "pg")
    server.start()
    here = changed(
        with_free_ports(with_backups(settings, tmp_path, offline_key)),
        backups=s3.new_bucket(),
        database_url=SecretStr(url_of(folder / "pg", TEMPLATE)),
        backup_method="continuous",
    )
    here.spool.mkdir(parents=True)
    cel_file_of(here).parent.mkdir(parents=True)
    tools = WorkerResources(here, open_database(here))
    try:
        yield tools
    finally:
        await tools.engine.dispose()
        server.cleanup()
        shutil.rmtree(folder)


@pytest.fixture
def empty(site: WorkerResources, empty_database: str, tmp_path: Path) -> Settings:
    """The settings of an empty machine, with the place of backups of the site."""
    var = tmp_path / "again" / "var"
    return changed(site.settings, var=var, database_url=SecretStr(empty_database))


async def archived(site: WorkerResources) -> int:
    return await asyncio.to_thread(
        log_archive.archive_log, site.settings, open_place(site.settings)
    )


async def moment(site: WorkerResources) -> str:
    """Now, as --to has it."""
    [(now,)] = await rows(site, "SELECT clock_timestamp()")
    assert isinstance(now, datetime)
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


async def spoil(site: WorkerResources) -> None:
    """What nobody can take back."""
    async with unit_of_work(site.engine) as connection:
        await connection.execute(text("UPDATE appeal SET caller_number = NULL"))


CALLERS = "SELECT call_id, caller_number FROM appeal WHERE caller_number IS NOT NULL"


async def test_a_site_comes_back_to_the_moment_before_a_mistake(
    site: WorkerResources, empty: Settings, offline_key: Path
) -> None:
    write(site, TALKED)
    await account(site)
    await made(site)
    write(site, BUSY)
    await account(site)
    given = await numbers(site)
    before = await moment(site)
    await mask(site, TALKED)
    await spoil(site)
    write(site, REDIRECTED)
    await account(site)
    lost = (await numbers(site))[REDIRECTED]
    await write_notes(site, datetime.now(UTC))
    assert await archived(site) > 0
    shutil.copytree(cel_file_of(site.settings).parent, cel_file_of(empty).parent)

    done = await restored(empty, offline_key, "--to", before)
    assert done.exit_code == 0, done.output
    here = again(empty)
    try:
        after = await numbers(here)
        # Nothing that the database's log has is entered again, and what came later is, as ever.
        assert {call: after[call] for call in (TALKED, BUSY)} == given
        assert int(after[REDIRECTED]) > int(lost) > max(map(int, given.values()))
        assert "1 calls entered again" in done.stdout
        # What was erased since stays so; what was spoilt does not.
        assert {call for call, _ in await rows(here, CALLERS)} == {BUSY, REDIRECTED}
        verified = await run(empty, "audit", "verify")
        assert verified.exit_code == 0, verified.output
    finally:
        await here.engine.dispose()
    assert not (empty.packing / "recovered").exists()


async def test_a_server_of_debian_comes_back_to_a_moment(
    site: WorkerResources, offline_key: Path, short_folder: Path, tmp_path: Path
) -> None:
    """By its own version, which recovers, into a server of that version."""
    folder = short_folder / "debian"
    with debian_server(programs_of(OLDEST), folder):
        url = SecretStr(url_of(folder, TEMPLATE))
        settings = changed(site.settings, database_url=url)
        await asyncio.to_thread(migrate, settings)
        there = WorkerResources(settings, open_database(settings))
        await made(there)
        write(there, TALKED)
        await account(there)
        given, before = await numbers(there), await moment(there)
        await spoil(there)
        assert await archived(there) > 0
        await there.engine.dispose()
        execute(folder, "CREATE DATABASE again")
        var, url = tmp_path / "again" / "var", SecretStr(url_of(folder, "again"))
        empty = changed(settings, var=var, database_url=url)
        done = await restored(empty, offline_key, "--to", before)
        assert done.exit_code == 0, done.output
        here = again(empty)
        assert await numbers(here) == given
        assert {call for call, _ in await rows(here, CALLERS)} == {TALKED}
        await here.engine.dispose()


async def test_without_a_time_all_that_was_archived_comes_back(
    site: WorkerResources, empty: Settings, offline_key: Path
) -> None:
    await made(site)
    for call in (TALKED, BUSY):
        write(site, call)
        await account(site)
        await archived(site)
    given = await numbers(site)
    done = await restored(empty, offline_key)
    assert done.exit_code == 0, done.output
    here = again(empty)
    assert await numbers(here) == given
    await here.engine.dispose()


async def test_a_time_that_the_log_does_not_reach_is_refused(
    site: WorkerResources, empty: Settings, offline_key: Path
) -> None:
    await made(site)
    write(site, TALKED)
    await account(site)
    await archived(site)
    later = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S")
    refused = await restored(empty, offline_key, "--to", later)
    assert "the archived log does not reach that time: it ends at 2" in str(refused.exception)
    here = again(empty)
    assert await rows(here, "SELECT to_regclass('appeal')") == [(None,)]
    await here.engine.dispose()
    assert not empty.secrets_folder.exists()


async def test_a_log_with_a_gap_restores_what_is_before(
    site: WorkerResources, empty: Settings, offline_key: Path
) -> None:
    await made(site)
    place, lost = open_place(site.settings), list[str]()
    for call in (TALKED, BUSY, REDIRECTED):
        write(site, call)
        await account(site)
        await archived(site)
        lost.append(max(each.name for each in place.list_objects("wal")))
    place.remove(lost[1])
    done = await restored(empty, offline_key)
    assert "THE LOG HAS A GAP" in done.stderr
    here = again(empty)
    assert (await numbers(here)).keys() == {TALKED}
    await here.engine.dispose()


async def test_a_segment_of_somebody_else_is_not_replayed(
    site: WorkerResources, empty: Settings, offline_key: Path
) -> None:
    await made(site)
    ours = read_secret(site.settings.secrets_folder, "audit")
    (site.settings.secrets_folder / "audit").write_text(f"{'A' * 43}\n")
    assert await archived(site) > 0
    (site.settings.secrets_folder / "audit").write_text(f"{ours}\n")
    refused = await restored(empty, offline_key)
    assert "signed by another key" in str(refused.exception)


async def test_the_log_of_an_idle_server_is_archived_at_once(site: WorkerResources) -> None:
    await archived(site)
    # The server itself would write the rest of a segment some time, by this process.
    query = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'"
    [(writer,)] = await rows(site, query)
    assert isinstance(writer, int)
    os.kill(writer, signal.SIGSTOP)
    try:
        write(site, TALKED)
        await account(site)
        async with asyncio.timeout(60):
            assert [await archived(site), await archived(site)] == [1, 1]  # and nothing twice
    finally:
        os.kill(writer, signal.SIGCONT)


async def test_what_cannot_be_archived_waits_in_the_server(
    site: WorkerResources, empty: Settings, offline_key: Path
) -> None:
    await made(site)
    write(site, TALKED)
    await account(site)
    unwritable = changed(site.settings, backups=f"{offline_key}/no-folder")
    with pytest.raises(ObjectStoreUnavailable):
        await archived(WorkerResources(unwritable, site.engine))
    shutil.rmtree(site.settings.packing)  # the machine that archived is lost, and another goes on
    site.settings.packing.mkdir()
    await archived(site)
    assert (await restored(empty, offline_key)).exit_code == 0
    here = again(empty)
    assert (await numbers(here)).keys() == {TALKED}
    await here.engine.dispose()


async def test_the_owner_needs_two_rights_to_archive(site: WorkerResources) -> None:
    owner = SecretStr(site.settings.database.replace("postgres@", "somebody@"))
    settings = changed(site.settings, database_url=owner)
    async with unit_of_work(site.engine) as connection:
        await connection.execute(text("CREATE ROLE somebody LOGIN"))
    with pytest.raises(InvalidRequest, match="may not replicate"):
        await archived(WorkerResources(settings, site.engine))
    async with unit_of_work(site.engine) as connection:  # as backup-reference.md says
        await connection.execute(text("ALTER ROLE somebody REPLICATION"))
        await connection.execute(text("GRANT EXECUTE ON FUNCTION pg_switch_wal() TO somebody"))
    assert await archived(WorkerResources(settings, site.engine)) > 0
    with base_backup(settings) as copy:
        assert await asyncio.to_thread(lambda: sum(map(len, copy.chunks()))) > 0


async def test_dumps_again_end_the_holding_back(site: WorkerResources) -> None:
    await made(site)
    slots = "SELECT slot_name FROM pg_replication_slots"
    assert await rows(site, slots) == [("callcenter",)]
    await made(WorkerResources(changed(site.settings, backup_method="dump"), site.engine))
    assert await rows(site, slots) == []


def test_check_warns_when_the_log_is_not_archived() -> None:
    now = datetime(2026, 11, 28, 1, tzinfo=UTC)
    assert look_at_log(now - timedelta(minutes=2), now) == "the log up to 00:58 UTC is archived"
    for last, said in ((now - timedelta(hours=1), "since 2026-11-28 00:00 UTC"), (None, "a day")):
        with pytest.raises(BackupLate, match=said):
            look_at_log(last, now)


def test_segments_are_chosen_as_far_as_none_is_missing() -> None:
    def name(place: int, timeline: int = 1) -> str:
        return f"{timeline:08X}{place // 256:08X}{place % 256:08X}.gz"

    names = [*map(name, (3, 254, 255, 256, 258)), name(256, 2), "00000002.history", "else"]
    chosen = choose_segments(names, "00000000000000FE", 16 * 1024**2)
    assert chosen.files == ["00000002.history", *map(name, (254, 255, 256)), name(256, 2)]
    assert chosen.has_gap
    assert not choose_segments(names[:4], "00000000000000FE", 16 * 1024**2).has_gap
