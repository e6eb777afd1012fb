"""The launch plan: all processes of the product on one machine."""

import asyncio
import resource
import signal
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path

from callcenter.launcher.managed_process import LaunchContext, ProcessSpec
from callcenter.launcher.port_check import hep_port, ports
from callcenter.launcher.postgres import postgres
from callcenter.launcher.process_secrets import secrets_of
from callcenter.launcher.processes import run
from callcenter.launcher.redis_rights import people_line, user_lines
from callcenter.launcher.sandbox import Sandbox, can_confine
from callcenter.launcher.supervisor import LaunchPlan, LaunchStep
from callcenter.platform.core.s3_url import S3Location
from callcenter.platform.core.secrets import read_secret, secret_variable, write_once
from callcenter.platform.core.settings import ROOT, Settings
from callcenter.platform.storage.database_roles import DatabaseRole, in_role
from callcenter.platform.storage.redis import REDIS
from callcenter.telephony.asterisk.config.binary import asterisk_command, cli_command, find_asterisk
from callcenter.telephony.asterisk.config.renderer import accounts_folder
from callcenter.telephony.asterisk.open_files import check_limit
from callcenter.telephony.reconciliation.cel_tail import cel_file_of

PACKAGE = Path(__file__).parent.parent
SETTINGS_FILE = ROOT / "callcenter.env"
#: Parts that are confined write no bytecode, and a controller must be back within seconds. Where
#: the package cannot be written nothing is lost: it is compiled at each start then.
COMPILE = "import compileall, sys; compileall.compile_dir(sys.argv[1], quiet=2)"

#: Programs of others, which read no setting of ours.
SERVERS = ("postgres", "redis", "asterisk")

#: Variables that the portal has, or that begin so: anybody in the world may try to break into it.
OF_PORTAL = (
    *("PATH", "HOME", "LC_ALL", "PYTHON"),
    *("PGSSLMODE", "PGSSLROOTCERT"),  # how libpq speaks to a server of one's own
    *("CALLCENTER_PORTAL_", "CALLCENTER_VAR", "CALLCENTER_PUBLIC_URL", "CALLCENTER_METRICS_PORT"),
)

#: Whose turn it is when there is less processor than work (`docs/decisions/0067`): who speaks is
#: heard, then calls are served, then all else is done.
SOUND_NICE, CALLS_NICE = -15, -10
PORTAL_NICE = 5  # anybody in the world can have it work


def product(settings: Settings, context: LaunchContext) -> LaunchPlan:
    """The plan of all processes, in the order of their dependencies.

    A server that the settings place elsewhere (`database_url`, `redis_url`) is not started. Raises
    DependencyUnavailable when PostgreSQL or an Asterisk new enough is missing, or Asterisk may open
    too few files.
    """
    _, file_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    check_limit(settings, file_limit)
    stores: list[ProcessSpec | LaunchStep] = [
        LaunchStep("compile", (sys.executable, "-c", COMPILE, str(PACKAGE))),
        LaunchStep("prompts", ours("prompts", "build")),
    ]
    if settings.database_url is None:
        stores.append(postgres(settings, context))
    elif in_role(settings, DatabaseRole.CONTROLLER) is settings:
        context.report("database", 'all parts log in as its owner: running.md, "Database roles"')
    if settings.redis_url is None:
        stores.append(redis(settings))
    has_portal = (
        settings.database_url is None or in_role(settings, DatabaseRole.PORTAL) is not settings
    )
    if not has_portal:
        context.report("portal", 'is left out, for it has no role: running.md, "Database roles"')
    lines = [ours("controller", "--name", f"line-{n + 1}") for n in range(settings.controllers)]
    stages: list[list[ProcessSpec | LaunchStep]] = [
        stores,
        [LaunchStep("migrate", ours("migrate"))],
        [LaunchStep("keys", ours("keys", "make")), LaunchStep("render", ours("render"))],
        # Controllers that are stopped before it leave their calls to it.
        [asterisk(settings, context), ProcessSpec("watchdog", ours("watchdog"), nice=CALLS_NICE)],
        [
            *(ProcessSpec(command[-1], command, nice=CALLS_NICE) for command in lines),
            ProcessSpec("web", ours("web")),
            *([portal(settings)] if has_portal else ()),
            ProcessSpec(
                "worker", ours("worker"), held_port=("CALLCENTER_HEP_SOCKET", hep_port(settings))
            ),
        ],
    ]
    if settings.archives_log:
        stages[-1].append(ProcessSpec("archiver", ours("archiver")))
    confines = can_confine()
    if not confines:
        context.report("keys", 'all parts can read them: running.md, "The keys of recordings"')

    def parted(member: ProcessSpec | LaunchStep) -> ProcessSpec | LaunchStep:
        """The process with what it needs; steps with all."""
        if isinstance(member, LaunchStep):
            return member
        sandbox = sandbox_of(member.name, settings) if confines else None
        return replace(member, sandbox=sandbox, withheld=_withheld(member.name, context))

    return LaunchPlan(
        stages=[[parted(member) for member in stage] for stage in stages], ports=ports(settings)
    )


def _withheld(name: str, context: LaunchContext) -> frozenset[str]:
    """Variables that the process of this name does not get: secrets of others, or nearly all."""
    if name == "portal":
        return frozenset(each for each in context.environment if not each.startswith(OF_PORTAL))
    settings = {each for each in context.environment if each.startswith("CALLCENTER_")}
    if name in SERVERS:
        return frozenset(settings)
    own = {secret_variable(secret) for secret in secrets_of(name)}
    return frozenset(each for each in settings - own if each.startswith("CALLCENTER_SECRET_"))


def sandbox_of(name: str, settings: Settings) -> Sandbox:
    """The sandbox of the process of this name. Secrets are hidden too: few need each."""
    program = (
        PACKAGE,
        *map(Path, (sys.prefix, sys.base_prefix)),
        *(Path(each) for each in sys.path if each and Path(each) != ROOT),
    )
    hidden: tuple[Path, ...] = (settings.keys, settings.secrets_folder)
    reads: tuple[Path, ...]
    writes: tuple[Path, ...]
    executes: tuple[Path, ...] | None = None
    match name:
        case "postgres":
            reads, writes = (), (settings.postgres_folder, Path("/dev/shm"))  # noqa: S108
        case "redis":
            reads, writes = (), (settings.run,)
        case "asterisk":
            fit = find_asterisk(settings)
            reads = (settings.asterisk_tree, fit.modules, fit.data, settings.prompts)
            if settings.sip_certificate is not None and settings.sip_key is not None:
                reads += (settings.sip_certificate, settings.sip_key)
            writes = (settings.asterisk_folder, settings.spool)
            # Itself, and the loader of the machine's own: by AMI and the dialplan it could run a
            # shell.
            executes = (Path(fit.command[0]), *Path("/").glob("lib*/ld-linux*.so.*"))
        case _:
            reads, writes = _folders_of(name, settings)
            if name != "portal":
                reads += (SETTINGS_FILE,)
            reads += tuple(settings.secrets_folder / each for each in secrets_of(name))
            if name in ("web", "worker"):
                hidden = (settings.secrets_folder,)
    if name in (*SERVERS, "portal"):  # where it lies is open to all, if that is in /opt
        hidden += (SETTINGS_FILE,)
    return Sandbox(hidden, (*program, *reads), writes, executes)


def _folders_of(name: str, settings: Settings) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Folders that this process of ours reads, and those that it writes."""
    recordings = (settings.recordings, *_folders(settings.store, settings.copy_store))
    backups = _folders(settings.backup_store)
    match name:
        case "archiver":
            return (), (settings.packing, *backups)
        case "portal":  # each new key is another file there
            return (settings.portal_key_file.parent,), ()
        case "web":
            return (settings.keys / "recordings",), (settings.exports, *recordings)
        case "worker":  # it notes erasures beside backups
            calls = (settings.journals, settings.spool)
            notes = (settings.audit_heads, cel_file_of(settings).parent)
            return (
                (settings.keys, settings.asterisk_folder),
                (*calls, *notes, *recordings, *backups),
            )
        case "watchdog":  # it bounds and rotates them
            own = settings.asterisk_folder / "log"
        case _:  # a controller takes a telephone from who is shut out
            own = accounts_folder(settings)
    return (
        (settings.prompts, settings.asterisk_folder, settings.spool),
        (settings.journals, settings.members, own),
    )


def _folders(*stores: Path | S3Location | None) -> tuple[Path, ...]:
    """Folders among these stores; the others are buckets."""
    return tuple(each for each in stores if isinstance(each, Path))


def ours(*arguments: str) -> tuple[str, ...]:
    """The `callcenter` command of this process's environment."""
    return (str(Path(sysconfig.get_path("scripts")) / "callcenter"), *arguments)


def portal(settings: Settings) -> ProcessSpec:
    """The portal, with no file of settings, and no address of the database with a password."""
    given: dict[str, str] = {}
    if settings.database_url is not None:
        given["CALLCENTER_DATABASE_URL"] = in_role(settings, DatabaseRole.PORTAL).database
    return ProcessSpec("portal", ours("portal", "--given"), nice=PORTAL_NICE, given=given)


def redis(settings: Settings) -> ProcessSpec:
    """Redis on a UNIX socket and nothing on disk: its content is rebuilt from the others.

    Each process has a user of its own, and people's commands the default one, whose passwords the
    first start makes.
    """
    path, users = settings.run / "redis.sock", settings.run / "redis.acl"

    async def prepare() -> None:
        lines = [people_line(settings), *user_lines(settings)]
        users.unlink(missing_ok=True)
        write_once(users, "".join(f"{line}\n" for line in lines))

    async def probe() -> str | None:
        try:
            reader, writer = await asyncio.open_unix_connection(path)
        except OSError:
            return None
        writer.write(f"AUTH {read_secret(settings.secrets_folder, REDIS)}\r\nPING\r\n".encode())
        answer = await reader.readline() + await reader.readline()
        writer.close()
        return f"unix:{path}" if answer == b"+OK\r\n+PONG\r\n" else None

    return ProcessSpec(
        name="redis",
        command=(
            *("redis-server", "--port", "0", "--daemonize", "no", "--dir", str(settings.run)),
            *("--unixsocket", str(path), "--unixsocketperm", "700"),
            *("--save", "", "--appendonly", "no", "--aclfile", str(users)),
            # Twice a second it looks for what has expired and whose wait is over, not ten times:
            # what is asked for is answered at once, and never when it has expired.
            *("--hz", "2"),
        ),
        probe=probe,
        prepare=prepare,
        nice=CALLS_NICE,
    )


def asterisk(settings: Settings, context: LaunchContext) -> ProcessSpec:
    """Asterisk, stopped by its own command, which closes recordings."""
    booted = cli_command(settings, "core waitfullybooted")

    async def probe() -> str | None:
        status = await run(booted, log=context.log("asterisk-cli"), environment=context.environment)
        if status != 0:
            return None
        return (
            f"SIP {settings.sip_address}:{settings.sip_port}, "
            f"ARI 127.0.0.1:{settings.ari_port}, AMI 127.0.0.1:{settings.ami_port}"
        )

    return ProcessSpec(
        name="asterisk",
        command=asterisk_command(settings),
        probe=probe,
        stop_command=cli_command(settings, "core stop now"),
        stop_signal=signal.SIGTERM,
        death_signal="TERM",
        # Without it nobody reaches the line at all, however often it dies.
        max_restart_delay=1.0,
        nice=SOUND_NICE,
    )
