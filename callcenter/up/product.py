"""The plan of the whole product on one machine."""

import asyncio
import signal
import sysconfig
from pathlib import Path

from callcenter.asterisk.program import asterisk_command, cli_command
from callcenter.settings import Settings
from callcenter.up.child import Part, Surroundings
from callcenter.up.ports import ports
from callcenter.up.postgres import find_cluster, postgres
from callcenter.up.processes import run
from callcenter.up.supervisor import Plan, Step


def product(settings: Settings, around: Surroundings) -> Plan:
    """Everything, in the order in which one thing needs another.

    A server that the settings place elsewhere (`database_url`, `redis_url`) is not started.
    Raises NotReady when PostgreSQL or an Asterisk new enough is missing.
    """
    stores: list[Part | Step] = [
        Step("prompts", ours("prompts", "build")),
        Step("keys", ours("keys", "recordings")),
    ]
    if settings.database_url is None:
        stores.append(postgres(find_cluster(settings), around))
    if settings.redis_url is None:
        stores.append(redis(settings))
    lines = [ours("line", "--name", f"line-{n + 1}") for n in range(settings.controllers)]
    return Plan(
        stages=(
            stores,
            [Step("migrate", ours("migrate"))],
            [Step("render", ours("render"))],
            # Controllers that are stopped before it leave their calls to it.
            [asterisk(settings, around), Part(name="watchdog", command=ours("watchdog"))],
            [
                *(Part(name=command[-1], command=command) for command in lines),
                Part(name="web", command=ours("web")),
                Part(name="worker", command=ours("worker")),
            ],
        ),
        ports=ports(settings),
    )


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
    )
