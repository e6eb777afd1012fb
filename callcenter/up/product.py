"""The plan of the whole product on one machine."""

import asyncio
import signal
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from callcenter.asterisk.program import asterisk_command, cli_command, find_asterisk
from callcenter.settings import ROOT, Settings
from callcenter.up.child import Part, Surroundings
from callcenter.up.confinement import Confinement, can_confine
from callcenter.up.ports import ports
from callcenter.up.postgres import find_cluster, postgres
from callcenter.up.processes import run
from callcenter.up.supervisor import Plan, Step

PACKAGE = Path(__file__).parent.parent
#: Parts that are confined write no bytecode, and a controller must be back within seconds. Where
#: the package cannot be written nothing is lost: it is compiled at each start then.
COMPILE = "import compileall, sys; compileall.compile_dir(sys.argv[1], quiet=2)"

#: Whose turn it is when there is less processor than work (`docs/decisions/0077`): who speaks is
#: heard, then calls are served, then all else is done.
SOUND, CALLS = -10, -5


def product(settings: Settings, around: Surroundings) -> Plan:
    """Everything, in the order in which one thing needs another.

    A server that the settings place elsewhere (`database_url`, `redis_url`) is not started.
    Raises NotReady when PostgreSQL or an Asterisk new enough is missing.
    """
    stores: list[Part | Step] = [
        Step("compile", (sys.executable, "-c", COMPILE, str(PACKAGE))),
        Step("prompts", ours("prompts", "build")),
        Step("keys", ours("keys", "recordings")),
    ]
    if settings.database_url is None:
        stores.append(postgres(find_cluster(settings), around))
    if settings.redis_url is None:
        stores.append(redis(settings))
    lines = [ours("line", "--name", f"line-{n + 1}") for n in range(settings.controllers)]
    stages: Sequence[Sequence[Part | Step]] = (
        stores,
        [Step("migrate", ours("migrate"))],
        [Step("render", ours("render"))],
        # Controllers that are stopped before it leave their calls to it.
        [asterisk(settings, around), Part("watchdog", ours("watchdog"), nice=CALLS)],
        [
            *(Part(command[-1], command, nice=CALLS) for command in lines),
            Part("web", ours("web")),
            Part("worker", ours("worker")),
        ],
    )
    if can_confine():
        stages = [[_confined(member, settings) for member in stage] for stage in stages]
    else:
        around.tell("keys", 'all parts can read them: running.md, "The keys of recordings"')
    return Plan(stages=stages, ports=ports(settings))


def _confined(member: Part | Step, settings: Settings) -> Part | Step:
    """The part, held to what it needs; those that open recordings, and steps, as they are."""
    if isinstance(member, Step) or member.name in ("web", "worker"):
        return member
    return replace(member, confined=_confinement(member.name, settings))


def _confinement(name: str, settings: Settings) -> Confinement:
    """What the part of this name may open. Secrets are hidden too: each is for few."""
    program = (
        PACKAGE,
        ROOT / "callcenter.env",
        *map(Path, (sys.prefix, sys.base_prefix)),
        *(Path(each) for each in sys.path if each and Path(each) != ROOT),
    )
    reads: tuple[Path, ...]
    writes: tuple[Path, ...]
    match name:
        case "postgres":
            reads, writes = (), (settings.postgres_folder, Path("/dev/shm"))  # noqa: S108
        case "redis":
            reads, writes = (), (settings.run,)
        case "asterisk":
            fit = find_asterisk(settings)
            reads = (settings.asterisk_tree, fit.modules, fit.data, settings.prompts)
            # The last one only to have it made before: what is laid out comes later.
            writes = (settings.asterisk_folder, settings.spool, settings.laid_out)
        case _:
            reads = tuple(settings.secrets_folder / each for each in ("ari", "ami"))
            reads += (settings.prompts, settings.asterisk_folder, settings.spool)
            writes = (settings.journals,)
    hidden = (settings.keys, settings.secrets_folder)
    return Confinement(hidden, (*program, *reads), writes)


def ours(*arguments: str) -> tuple[str, ...]:
    """The `callcenter` command of the environment that this process runs in."""
    return (str(Path(sysconfig.get_path("scripts")) / "callcenter"), *arguments)


def redis(settings: Settings) -> Part:
    """Redis on a UNIX socket and nothing on disk: what it holds is rebuilt from the others."""
    path = settings.run / "redis.sock"

    async def probe() -> str | None:
        try:
            reader, writer = await asyncio.open_unix_connection(path)
        except OSError:
            return None
        writer.write(b"PING\r\n")
        answer = await reader.readline()
        writer.close()
        return f"unix:{path}" if answer == b"+PONG\r\n" else None

    return Part(
        name="redis",
        command=(
            *("redis-server", "--port", "0", "--daemonize", "no", "--dir", str(settings.run)),
            *("--unixsocket", str(path), "--unixsocketperm", "700"),
            *("--save", "", "--appendonly", "no"),
        ),
        probe=probe,
        nice=CALLS,
    )


def asterisk(settings: Settings, around: Surroundings) -> Part:
    """The switch. It is asked to stop by its own command, which closes recordings."""
    booted = cli_command(settings, "core waitfullybooted")

    async def probe() -> str | None:
        status = await run(booted, log=around.log("asterisk-cli"), environment=around.environment)
        if status != 0:
            return None
        return (
            f"SIP {settings.sip_address}:{settings.sip_port}, "
            f"ARI 127.0.0.1:{settings.ari_port}, AMI 127.0.0.1:{settings.ami_port}"
        )

    return Part(
        name="asterisk",
        command=asterisk_command(settings),
        probe=probe,
        stop_command=cli_command(settings, "core stop now"),
        stop_signal=signal.SIGTERM,
        death_signal="TERM",
        # Without it nobody reaches the line at all, however often it dies.
        longest_pause=1.0,
        nice=SOUND,
    )
