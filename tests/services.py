"""Fixtures of the real servers: one PostgreSQL and one Redis a session, on UNIX sockets.

A test that asks for `settings` alone starts nothing. `database` (or `engine`) gives the test a
database of its own, cloned from a migrated template; `redis` gives it an empty Redis. The settings
of the test point to what it asked for.
"""

import base64
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.bootstrap.data_secrets import WORDS
from callcenter.launcher import redis_rights
from callcenter.platform.core.settings import ROOT, Settings
from callcenter.platform.storage.database_roles import DatabaseRole, in_role, make_password
from callcenter.platform.storage.engine import open_database
from callcenter.platform.storage.redis import REDIS, open_redis
from callcenter.platform.storage.redis_users import RedisUser, as_redis_user
from callcenter.recordings.sealing import keys
from callcenter.telephony.acd import queue_position
from callcenter.telephony.calls.prompts import MANIFEST
from callcenter.telephony.calls.prompts.build import build
from tests import fork_server
from tests.clock import real_time
from tests.polling import NotInTime
from tests.postgres import TEMPLATE, execute, fast_folder, new_server, url_of
from tests.s3 import S3Server, s3_server

# The `callcenter` command of the tree under test, whether or not it is installed.
CALLCENTER = (sys.executable, "-c", fork_server.OURS)

SHORT = 8000 * 14 // 10  # bytes of A-law: 1.4 seconds, of which a listener compares the first
MOMENT = 8000 // 2  # half a second, in which a goodbye is told from all other words

_names = (f"test_{number}" for number in count())


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """A folder with a short path, because the path of a UNIX socket has 107 bytes at most."""
    folder = Path(tempfile.mkdtemp(prefix="cc-"))
    yield folder
    shutil.rmtree(folder)


def new_folder(name: Path) -> Path:
    """A new folder whose name begins so: a module whose tests come in parts needs several."""
    return Path(tempfile.mkdtemp(prefix=f"{name.name}-", dir=name.parent))


@pytest.fixture(scope="session")
def postgres(short_folder: Path) -> Iterator[Path]:
    """The folder of the socket of a running PostgreSQL that holds a migrated template."""
    with fast_folder(short_folder) as fast:
        server = new_server(fast / "pg")
        server.start()
        try:
            yield fast / "pg"
        finally:
            server.cleanup()


@pytest.fixture(scope="session")
def whole_prompts() -> Path:
    """All prompts of both languages. Made once for all runs, since it takes ten seconds of a core.

    Whoever comes while they are made waits; what would come out differently is made again.
    """
    made = Settings(_env_file=None, var=ROOT / "var" / "tests")
    build(made, lambda done, total: None)
    return made.prompts


@pytest.fixture(scope="session")
def built_prompts(short_folder: Path, whole_prompts: Path) -> Path:
    """All prompts of both languages, cut short: tests are in a hurry."""
    made = shutil.copytree(whole_prompts, short_folder / "prompts")
    cut_short(made)
    return made


def cut_short(prompts: Path, length: int = SHORT, but: Collection[str] = ()) -> None:
    """Cut the prompts in this folder to so many bytes, `but` these; and goodbyes to a moment.

    Their manifest says so: a site that a test begins over them would make them whole again.
    """
    manifest = json.loads((prompts / MANIFEST).read_text("utf-8"))
    for language in ("kk", "ru"):
        for file in (prompts / language).glob("*.alaw"):
            if file.stem in but:
                continue
            beginning = file.read_bytes()[: MOMENT if file.stem == "goodbye" else length]
            file.write_bytes(beginning)
            if entry := manifest.get(f"{language}/{file.stem}"):  # none for a former text
                entry["sha256"] = hashlib.sha256(beginning).hexdigest()
    (prompts / MANIFEST).write_text(json.dumps(manifest), "utf-8")


@pytest.fixture
def database(postgres: Path) -> Iterator[str]:
    """The URL of a migrated database of this test."""
    with new_database(postgres) as url:
        yield url


@contextmanager
def new_database(postgres: Path, template: str = TEMPLATE) -> Iterator[str]:
    """The URL of a database that exists within the block."""
    name = next(_names)
    execute(postgres, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    try:
        yield url_of(postgres, name)
    finally:
        execute(postgres, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def empty_database(postgres: Path) -> Iterator[str]:
    """The URL of a database of this test without any table."""
    with new_database(postgres, template="template0") as url:
        yield url


@pytest.fixture(scope="session")
def redis_url(short_folder: Path) -> Iterator[str]:
    """The URL of a running Redis."""
    with redis_server(short_folder) as url:
        yield url


def redis_command(socket: Path) -> list[str]:
    """What starts a Redis on this socket, with nothing on disk and a user for each process.

    The default one is that of tests, which may do all.
    """
    program = ["redis-server", "--port", "0", "--unixsocket", str(socket), "--save", ""]
    program += ["--dir", str(socket.parent), "--requirepass", secret_of(REDIS)]
    for user in RedisUser:
        allowed = redis_rights.rules(user).split()
        program += ["--user", user, "on", f">{secret_of(user.secret)}", *allowed]
    return program


def redis_address(socket: Path) -> str:
    """The URL of such a Redis."""
    return f"unix://:{secret_of(REDIS)}@{socket}"


def _accepts(place: Path) -> bool:
    """Whether a server listens at this UNIX socket; its file is there a moment before."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(place)) == 0


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """The URL of a Redis that runs within the block; the path of the folder must be short."""
    place = folder / "redis.sock"
    command = redis_command(place)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=real_time()) as run:
        try:
            deadline = time.monotonic() + 10
            while not _accepts(place):
                assert run.poll() is None, "redis-server has ended"
                if time.monotonic() > deadline:
                    raise NotInTime("redis-server accepted nobody in 10 s")
                time.sleep(0.01)
            yield redis_address(place)
        finally:
            run.terminate()


@pytest.fixture(scope="session")
def s3(short_folder: Path) -> Iterator[S3Server]:
    """An S3 server that runs."""
    with s3_server(short_folder / "s3") as server:
        yield server


@pytest.fixture
def settings(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """Settings of this test: everything below a temporary folder, servers as it asked for."""
    for key in [key for key in os.environ if key.startswith("CALLCENTER_")]:
        monkeypatch.delenv(key)
    servers = {
        key: request.getfixturevalue(fixture)
        for key, fixture in (("database_url", "database"), ("redis_url", "redis_url"))
        if fixture in request.fixturenames
    }
    return _settings(tmp_path, **servers)


@pytest.fixture(params=["spool", "recordings"])
def small_disk(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Path]:
    """The spool or the store, on a real file system of 12 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    for folder in (settings.spool, settings.recordings):
        folder.mkdir(parents=True)
    disk: Path = getattr(settings, request.param)
    mounting = ["mount", "-t", "tmpfs", "-o", "size=12m,mode=0700", "tmpfs", str(disk)]
    if subprocess.run(mounting, check=False).returncode != 0:
        pytest.skip("this machine lets nobody mount")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def filled(disk: Path, *, but: int) -> Path:
    """A file of somebody else, that leaves so many bytes free."""
    filling = disk / "somebody-else.dat"
    filling.write_bytes(bytes(shutil.disk_usage(disk).free - but))
    return filling


@pytest.fixture
async def engine(database: str, settings: Settings) -> AsyncIterator[AsyncEngine]:
    """The engine of this test's own database."""
    engine = open_database(settings)
    yield engine
    await engine.dispose()


@asynccontextmanager
async def opened_as(role: DatabaseRole, settings: Settings) -> AsyncIterator[AsyncEngine]:
    """The engine of a process, with the rights of its role, within the block."""
    engine = open_database(in_role(settings, role))
    try:
        yield engine
    finally:
        await engine.dispose()


@pytest.fixture
async def worker_engine(database: str, settings: Settings) -> AsyncIterator[AsyncEngine]:
    """The engine of a worker on this test's own database."""
    async with opened_as(DatabaseRole.WORKER, settings) as engine:
        yield engine


@pytest.fixture
async def web_engine(database: str, settings: Settings) -> AsyncIterator[AsyncEngine]:
    """The engine of the pages on this test's own database."""
    async with opened_as(DatabaseRole.WEB, settings) as engine:
        yield engine


@pytest.fixture
async def redis(redis_url: str, settings: Settings) -> AsyncIterator[Redis]:
    """A client of a Redis that is empty when the test begins."""
    client = open_redis(settings)
    await client.flushdb()
    yield client
    await client.aclose()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the queue for longer than a caller may hear silence: other tests run beside."""
    monkeypatch.setattr(queue_position, "REDIS_TIMEOUT", 5.0)


@pytest.fixture
async def web_redis(redis: Redis, settings: Settings) -> AsyncIterator[Redis]:
    """A client of the pages on that Redis."""
    async with open_redis(as_redis_user(settings, RedisUser.WEB)) as client:
        yield client


def _settings(
    folder: Path, database_url: str | None = None, redis_url: str | None = None
) -> Settings:
    keys.make(folder / "var" / "keys")
    settings = Settings(
        _env_file=None,
        var=folder / "var",
        recordings=folder / "recordings",
        database_url=SecretStr(database_url) if database_url else None,
        redis_url=SecretStr(redis_url) if redis_url else None,
    )
    write_secrets(settings)
    return settings


def write_secrets(settings: Settings) -> None:
    """Secrets of a copy that has run before; the same ones everywhere."""
    settings.secrets_folder.mkdir(mode=0o700, parents=True)
    users = [user.secret for user in RedisUser]
    for name in (*WORDS, "ari", "ami", "hep", REDIS, *users):
        file = settings.secrets_folder / name
        file.touch(mode=0o600)
        file.write_text(secret_of(name) + "\n")
    for role in DatabaseRole:
        make_password(settings.secrets_folder, role)


def secret_of(name: str) -> str:
    """The secret of this name in all tests."""
    return base64.urlsafe_b64encode(hashlib.sha256(name.encode()).digest()).decode().rstrip("=")


def changed(settings: Settings, **values: object) -> Settings:
    """Other settings, of which nothing is computed yet."""
    return Settings(_env_file=None, **{**settings.model_dump(), **values})
