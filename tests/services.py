"""Fixtures of the real servers: one PostgreSQL and one Redis a session, on UNIX sockets.

A test that asks for `settings` alone starts nothing. `database` (or `engine`) gives the test a
database of its own, cloned from a migrated template; `redis` gives it an empty Redis. The settings
of the test point to what it asked for.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from callcenter.line.prompts.build import build
from callcenter.recordings import keys
from callcenter.settings import ROOT, Settings
from callcenter.storage.engine import open_database
from callcenter.storage.redis import open_redis
from tests.postgres import TEMPLATE, execute, new_server, url_of
from tests.s3 import S3Server, s3_server

# The `callcenter` command of the tree under test, whether or not it is installed.
CALLCENTER = (sys.executable, "-c", "from callcenter.cli import main; main()")

SHORT = 8000 * 14 // 10  # bytes of A-law: 1.4 seconds, of which a listener compares the first

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
    folder = short_folder / "pg"
    server = new_server(folder)
    server.start()
    try:
        yield folder
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
    for language in ("kk", "ru"):
        for file in (made / language).glob("*.alaw"):
            file.write_bytes(file.read_bytes()[:SHORT])
    return made


@pytest.fixture
def database(postgres: Path) -> Iterator[str]:
    """The URL of a migrated database of this test."""
    with new_database(postgres) as url:
        yield url


@contextmanager
def new_database(postgres: Path, template: str = TEMPLATE) -> Iterator[str]:
    """The URL of a database that exists within the block."""
    name = next(_names)
    execute(postgres, f"CREATE DATABASE {name} TEMPLATE {template}")
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


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """The URL of a Redis that runs within the block; the path of the folder must be short."""
    socket = folder / "redis.sock"
    program = ["redis-server", "--port", "0", "--unixsocket", str(socket), "--save", ""]
    with subprocess.Popen([*program, "--dir", str(folder)], stdout=subprocess.DEVNULL) as run:
        try:
            deadline = time.monotonic() + 10
            while not socket.exists():
                assert run.poll() is None, "redis-server has ended"
                assert time.monotonic() < deadline, "redis-server made no socket in 10 s"
                time.sleep(0.01)
            yield f"unix://{socket}"
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


@pytest.fixture
async def redis(redis_url: str, settings: Settings) -> AsyncIterator[Redis]:
    """A client of a Redis that is empty when the test begins."""
    client = open_redis(settings)
    await client.flushdb()
    yield client
    await client.aclose()


def _settings(
    folder: Path, database_url: str | None = None, redis_url: str | None = None
) -> Settings:
    keys.make(folder / "var" / "keys")
    return Settings(
        _env_file=None,
        var=folder / "var",
        recordings=folder / "recordings",
        database_url=SecretStr(database_url) if database_url else None,
        redis_url=SecretStr(redis_url) if redis_url else None,
    )
