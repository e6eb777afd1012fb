"""The real Asterisk on the rendered configuration, in a folder and on ports of its own."""

import asyncio
import hashlib
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from callcenter.asterisk.program import asterisk_command, cli_command
from callcenter.asterisk.render import SipAccount
from callcenter.settings import Settings

PASSWORD = "a-password-of-tests"
ACCOUNTS = tuple(
    SipAccount(each, hashlib.md5(f"{each}:asterisk:{PASSWORD}".encode()).hexdigest())  # noqa: S324
    for each in ("1001", "1002")
)
#: A tone for every prompt that the fallback plays, so that each is told from the others.
PROMPTS = ("greeting", "recording_notice", "queue_hold", "transfer_ecc", "tech_fault")


def settings_of(folder: Path, **changed: object) -> Settings:
    """Settings of a switch on free ports; what is long in production is short here."""
    with ExitStack() as stack:
        udp = [stack.enter_context(socket.socket(type=socket.SOCK_DGRAM)) for _ in range(2)]
        tcp = [stack.enter_context(socket.socket()) for _ in range(2)]
        for each in (*udp, *tcp):
            each.bind(("127.0.0.1", 0))
        sip, center, ari, ami = (each.getsockname()[1] for each in (*udp, *tcp))
    values: dict[str, object] = {
        "var": folder,
        "sip_port": sip,
        "ari_port": ari,
        "ami_port": ami,
        "rtp_start": 31000,
        "rtp_end": 31399,
        "unified_center_uri": f"sip:1414@127.0.0.3:{center}",
        "claim_timeout": 0.1,
        "ring_timeout": 5,
        "fallback_patience": 30,
        "unified_ring_timeout": 2,
    }
    return Settings(_env_file=None, **(values | changed))  # type: ignore[arg-type]


def center_port(settings: Settings) -> int:
    return int(settings.unified_center_uri.rpartition(":")[2])


def cli(settings: Settings, command: str) -> str:
    return subprocess.run(
        cli_command(settings, command), capture_output=True, text=True, timeout=20, check=True
    ).stdout


@contextmanager
def running(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """Asterisk until the end of the block, fully booted at its start."""
    with subprocess.Popen(asterisk_command(settings), stdout=subprocess.DEVNULL) as process:
        try:
            _wait_until_booted(settings, process)
            yield process
        finally:
            process.terminate()
            process.wait(10)


def _wait_until_booted(settings: Settings, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    booted = cli_command(settings, "core waitfullybooted")
    while subprocess.run(booted, capture_output=True, timeout=20, check=False).returncode:
        assert process.poll() is None, "Asterisk has ended"
        assert time.monotonic() < deadline, "Asterisk is not ready after 20 s"
        time.sleep(0.05)


async def until(condition: Callable[[], bool], limit: float = 10) -> None:
    """Polls until the condition holds. Raises TimeoutError."""
    async with asyncio.timeout(limit):
        while not condition():
            await asyncio.sleep(0.05)
