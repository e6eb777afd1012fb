import asyncio
import os
import shutil
import stat
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import psutil
import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, RedisError

from callcenter.commands.check import CHECKS, examine
from callcenter.consultants.presence import PresenceService
from callcenter.consultants.rules.states import PresenceState
from callcenter.launcher.managed_process import LaunchContext
from callcenter.launcher.postgres import find_cluster, postgres
from callcenter.launcher.process_plan import redis
from callcenter.launcher.supervisor import LaunchPlan, ProcessSupervisor
from callcenter.platform.core.errors import DependencyUnavailable, InvalidRequest
from callcenter.platform.core.secrets import read_secret
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.database_roles import (
    DatabaseRole,
    in_role,
    make_roles,
    password_file,
    statements,
)
from callcenter.platform.storage.redis import (
    REDIS,
    find_eviction,
    find_openness,
    find_snapshots,
    open_redis,
)
from callcenter.platform.storage.redis_users import RedisUser, as_redis_user
from tests.launcher.rig import processes_of, wait_until_gone
from tests.persisted.distributor_state import fill


def servers(settings: Settings, around: LaunchContext) -> LaunchPlan:
    return LaunchPlan([[postgres(settings, around), redis(settings)]])


@pytest.fixture
async def copy(settings: Settings) -> AsyncIterator[ProcessSupervisor]:
    """A copy of PostgreSQL and Redis alone, running, under a folder closed to other users."""
    copy = ProcessSupervisor(settings, servers, lambda line: None)
    await copy.start()
    yield copy
    await copy.stop()
    wait_until_gone(settings.var)


def query(settings: Settings, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(settings.database, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


async def test_the_embedded_database_serves_under_the_url_of_the_settings(
    copy: ProcessSupervisor, settings: Settings
) -> None:
    assert query(
        settings,
        "select current_database(), pg_encoding_to_char(encoding) "
        "from pg_database where datname = current_database()",
    ) == [("callcenter", "UTF8")]
    assert query(settings, "select upper('қазақстан, әже'), lower('ЁЖ ҢҰ')") == [
        ("ҚАЗАҚСТАН, ӘЖЕ", "ёж ңұ")
    ]


async def test_the_servers_listen_on_no_network(copy: ProcessSupervisor) -> None:
    for name in ("postgres", "redis"):
        process = psutil.Process(copy.child(name).pid)
        assert process.net_connections("inet") == []
        assert process.net_connections("unix") != []


async def test_the_database_runs_without_root_in_a_closed_folder(
    copy: ProcessSupervisor, settings: Settings
) -> None:
    process = psutil.Process(copy.child("postgres").pid)
    assert 0 not in process.uids()
    assert settings.postgres_folder.stat().st_uid == process.uids().real
    assert stat.S_IMODE(settings.postgres_folder.stat().st_mode) == 0o700
    log = settings.var / "log" / "postgres.log"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


@pytest.mark.parametrize("user", ["postgres", *DatabaseRole])
async def test_nobody_is_a_role_without_its_password(
    copy: ProcessSupervisor, settings: Settings, user: str
) -> None:
    ours = make_conninfo("", user=user, dbname="callcenter", host=str(settings.postgres_folder))
    own = password_file(settings.secrets_folder, user)
    with psycopg.connect(ours, passfile=str(own)) as connection:
        assert connection.info.user == user
    for other in {"postgres", *DatabaseRole} - {user}:
        file = password_file(settings.secrets_folder, other)
        with pytest.raises(psycopg.OperationalError, match="no password supplied"):
            psycopg.connect(ours, passfile=str(file))
        password = file.read_text().strip().rpartition(":")[2]
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(ours, password=password)


async def test_roles_are_made_by_several_at_once(
    copy: ProcessSupervisor, settings: Settings
) -> None:
    query(settings, f"drop role {', '.join(DatabaseRole)}")
    again = partial(make_roles, settings, replaces_passwords=False)
    made = await asyncio.gather(*(asyncio.to_thread(again) for _ in range(4)))
    assert list(DatabaseRole) in made
    assert again() == []
    for role in DatabaseRole:
        assert query(in_role(settings, role), "select current_user") == [(role.value,)]


async def test_roles_of_another_copy_are_taken_over_on_demand_alone(
    copy: ProcessSupervisor, settings: Settings, tmp_path: Path
) -> None:
    update = {"database_url": SecretStr(settings.database), "var": tmp_path / "second"}
    second = Settings.model_validate({**settings.model_dump(), **update})
    with pytest.raises(InvalidRequest, match="passwords of another copy"):
        make_roles(second, replaces_passwords=False)
    assert query(in_role(settings, DatabaseRole.WEB), "select 1") == [(1,)]
    assert make_roles(second, replaces_passwords=True) == list(DatabaseRole)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        query(in_role(settings, DatabaseRole.WEB), "select 1")


async def test_a_role_with_powers_is_refused(copy: ProcessSupervisor, settings: Settings) -> None:
    query(settings, "alter role callcenter_web createrole")
    with pytest.raises(InvalidRequest, match="callcenter_web may do more than log in"):
        make_roles(settings, replaces_passwords=False)


async def test_an_owner_without_the_right_is_given_statements(
    copy: ProcessSupervisor, settings: Settings
) -> None:
    query(settings, f"drop role {', '.join(DatabaseRole)}")
    query(settings, "create role own login password 'own'")
    url = f"postgresql://own:own@/callcenter?host={settings.postgres_folder}"
    own = Settings.model_validate({**settings.model_dump(), "database_url": SecretStr(url)})
    with pytest.raises(InvalidRequest, match="database-roles --sql"):
        make_roles(own, replaces_passwords=False)
    for statement in statements(own):
        query(settings, statement)
    assert make_roles(own, replaces_passwords=False) == []


async def test_data_of_the_version_before_get_passwords(settings: Settings) -> None:
    copy = ProcessSupervisor(settings, servers, lambda line: None)
    try:
        await copy.start()
        query(settings, "create table kept (it int)")
        query(settings, f"drop role {', '.join(DatabaseRole)}")
        await copy.stop()
        rules = settings.postgres_folder / "data" / "pg_hba.conf"
        rules.write_text("local all postgres peer map=callcenter\n")
        for each in settings.secrets_folder.glob("database_*"):
            each.unlink()
        await copy.start()
        assert query(settings, "select * from kept") == []
        assert query(in_role(settings, DatabaseRole.WEB), "select 1") == [(1,)]
    finally:
        await copy.stop()


async def test_written_data_survive_a_kill_and_a_stop(
    copy: ProcessSupervisor, settings: Settings
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


async def test_redis_of_ours_serves_nobody_without_the_password(
    copy: ProcessSupervisor, settings: Settings
) -> None:
    secret = read_secret(settings.secrets_folder, REDIS)
    async with open_redis(settings) as redis:
        assert await redis.ping()
    async with Redis.from_url(settings.redis) as stranger:
        with pytest.raises(RedisError, match="authenticated"):
            await stranger.ping()
    assert await find_openness(settings) is None
    assert secret not in " ".join(psutil.Process(copy.child("redis").pid).cmdline())
    users = settings.run / "redis.acl"
    assert secret not in users.read_text()
    assert stat.S_IMODE(users.stat().st_mode) == 0o600


async def test_redis_of_ours_lets_processes_do_their_work_alone(
    copy: ProcessSupervisor, settings: Settings
) -> None:
    look = CHECKS["servers"]["users"]
    assert (await asyncio.to_thread(examine, look, settings))[0] == "ok"
    async with open_redis(as_redis_user(settings, RedisUser.CONTROLLER)) as redis:
        await fill(redis)
    async with open_redis(settings) as redis:  # as people's commands, and the version before
        await PresenceService(redis, settings).ask("203", PresenceState.READY, by="self")
        assert await find_eviction(redis) is None
        assert await find_snapshots(redis) is None
        for refused in (redis.flushall(), redis.config_set("save", "1"), redis.get("another")):
            with pytest.raises(NoPermissionError):
                await refused
        with pytest.raises(NoPermissionError):  # orders on their way would be read by it
            async with redis.monitor():
                pass


async def test_redis_that_was_killed_serves_again(
    copy: ProcessSupervisor, settings: Settings
) -> None:
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
    copy = ProcessSupervisor(settings, servers, lambda line: None)
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
    monkeypatch.setattr("callcenter.launcher.postgres.programs", lambda: broken)
    copy = ProcessSupervisor(settings, servers, lambda line: None)
    with pytest.raises(
        DependencyUnavailable, match=r"cannot make the database in .*: no space left; see "
    ):
        await copy.start()
    assert "data" not in os.listdir(cluster.folder)


async def test_two_copies_run_side_by_side_without_knowing(
    copy: ProcessSupervisor, settings: Settings, short_folder: Path
) -> None:
    others = Settings.model_validate({**settings.model_dump(), "var": short_folder / "second"})
    second = ProcessSupervisor(others, servers, lambda line: None)
    try:
        await second.start()
        query(settings, "create table mine (it int)")
        assert query(others, "select to_regclass('mine')") == [(None,)]
        await second.stop()
        assert query(settings, "select count(*) from mine") == [(0,)]
    finally:
        await second.stop()
