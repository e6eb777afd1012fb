import os
import pwd
import shutil
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import psycopg
import pytest

from callcenter.errors import NotReady
from callcenter.settings import Settings
from callcenter.up.child import Surroundings
from callcenter.up.postgres import find_cluster, postgres
from callcenter.up.product import redis
from callcenter.up.supervisor import Plan, Supervisor
from tests.up.rig import processes_of, wait_until_gone


def servers(settings: Settings, around: Surroundings) -> Plan:
    return Plan([[postgres(find_cluster(settings), around), redis(settings)]])


@pytest.fixture
async def copy(settings: Settings) -> AsyncIterator[Supervisor]:
    """A copy of PostgreSQL and Redis alone, running, under a folder closed to other users."""
    copy = Supervisor(settings, servers, lambda line: None)
    await copy.start()
    yield copy
    await copy.stop()
    wait_until_gone(settings.var)


def query(settings: Settings, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(settings.database, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


async def test_the_embedded_database_serves_under_the_url_of_the_settings(
    copy: Supervisor, settings: Settings
) -> None:
    assert query(
        settings,
        "select current_database(), pg_encoding_to_char(encoding) "
        "from pg_database where datname = current_database()",
    ) == [("callcenter", "UTF8")]
    assert query(settings, "select upper('қазақстан, әже'), lower('ЁЖ ҢҰ')") == [
        ("ҚАЗАҚСТАН, ӘЖЕ", "ёж ңұ")
    ]


async def test_the_servers_listen_on_no_network(copy: Supervisor) -> None:
    for name in ("postgres", "redis"):
        process = psutil.Process(copy.child(name).pid)
        assert process.net_connections("inet") == []
        assert process.net_connections("unix") != []


async def test_the_database_does_not_run_as_root_and_its_folder_is_closed(
    copy: Supervisor, settings: Settings
) -> None:
    process = psutil.Process(copy.child("postgres").pid)
    assert 0 not in process.uids()
    assert settings.postgres_folder.stat().st_uid == process.uids().real
    assert stat.S_IMODE(settings.postgres_folder.stat().st_mode) == 0o700
    log = settings.var / "log" / "postgres.log"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


async def test_other_users_may_not_connect(copy: Supervisor, settings: Settings) -> None:
    allowed = (settings.postgres_folder / "data" / "pg_ident.conf").read_text()
    server = pwd.getpwuid(psutil.Process(copy.child("postgres").pid).uids().real).pw_name
    me = pwd.getpwuid(os.geteuid()).pw_name
    names = {line.split('"')[1] for line in allowed.splitlines()}
    assert names == {"root", me, server}
    with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry"):
        psycopg.connect(settings.database.replace("postgres@", "somebody@"))


async def test_what_was_written_is_there_after_a_kill_and_after_a_stop(
    copy: Supervisor, settings: Settings
) -> None:
    query(settings, "create table kept (it int)")
    query(settings, "insert into kept values (111)")
    copy.child("postgres").kill()
    await copy.child("postgres").serving(30)
    assert query(settings, "select it from kept") == [(111,)]
    await copy.stop()
    assert processes_of(settings.var) == []
    await copy.start()
    assert query(settings, "select it from kept") == [(111,)]


async def test_redis_that_was_killed_serves_again(copy: Supervisor, settings: Settings) -> None:
    before = copy.child("redis").pid
    copy.child("redis").kill()
    await copy.child("redis").serving(20)
    assert copy.child("redis").pid != before
    assert not list(settings.run.glob("*.rdb"))


async def test_an_interrupted_beginning_is_begun_again(settings: Settings) -> None:
    cluster = find_cluster(settings)
    half_made = cluster.folder / "data.new" / "base"
    half_made.mkdir(parents=True)
    if os.geteuid() == 0:
        for path in (half_made.parent, half_made):
            os.chown(path, cluster.user.pw_uid, cluster.user.pw_gid)
    copy = Supervisor(settings, servers, lambda line: None)
    try:
        await copy.start()
        assert query(settings, "select 1") == [(1,)]
        assert not half_made.exists()
    finally:
        await copy.stop()


async def test_data_that_cannot_be_made_is_named_in_one_line(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = find_cluster(settings)
    (cluster.folder / "data.new").write_text("a file in the way, which is removed")
    broken = shutil.copytree(cluster.programs, settings.var / "bin", symlinks=True)
    (broken / "initdb").write_text("#!/bin/sh\necho 'no space left' >&2\nexit 1\n")
    monkeypatch.setattr("callcenter.up.postgres.programs", lambda: broken)
    copy = Supervisor(settings, servers, lambda line: None)
    with pytest.raises(NotReady, match=r"cannot make the database in .*: no space left; see "):
        await copy.start()
    assert "data" not in os.listdir(cluster.folder)


async def test_two_copies_run_side_by_side_and_know_nothing_of_each_other(
    copy: Supervisor, settings: Settings, short_folder: Path
) -> None:
    others = Settings.model_validate({**settings.model_dump(), "var": short_folder / "second"})
    second = Supervisor(others, servers, lambda line: None)
    try:
        await second.start()
        query(settings, "create table mine (it int)")
        assert query(others, "select to_regclass('mine')") == [(None,)]
        await second.stop()
        assert query(settings, "select count(*) from mine") == [(0,)]
    finally:
        await second.stop()
