"""`callcenter up` as a person runs it: all real parts, in a folder and on ports of its own."""

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from callcenter.commands.check import IN_MEMORY, file_system
from callcenter.demo.phone import Phone
from callcenter.settings import Settings
from callcenter.up.memory import out_of_memory
from callcenter.up.ports import with_free_ports
from callcenter.up.product import ours
from callcenter.up.supervisor import environment
from tests.asterisk.switch import OPERATOR
from tests.up.rig import processes_of, wait_until_gone

pytestmark = pytest.mark.timeout(180)

ANSWERING = 10.0  # seconds from Asterisk's death to a caller who is answered
PARTS = ("postgres", "redis", "asterisk", "watchdog", "line-1", "line-2", "web", "worker")


class Running:
    """A running `callcenter up` whose output is in a file."""

    def __init__(self, settings: Settings, output: Path) -> None:
        self.settings, self.output = settings, output
        with output.open("w") as file:
            self.process = subprocess.Popen(
                ours("up"),
                stdout=file,
                stderr=file,
                env=environment(settings),
                start_new_session=True,
            )

    def wait_for(self, pattern: str, timeout: float = 120) -> re.Match[str]:
        limit = time.monotonic() + timeout
        while not (found := re.search(pattern, self.output.read_text(), re.MULTILINE)):
            assert self.process.poll() is None, self.output.read_text()
            assert time.monotonic() < limit, self.output.read_text()
            time.sleep(0.05)
        return found

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


@pytest.fixture
def own_settings(settings: Settings, whole_prompts: Path) -> Settings:
    """Settings on free ports, with prompts that were made before."""
    shutil.copytree(whole_prompts, settings.prompts)
    return with_free_ports(settings)


@pytest.fixture
def up(own_settings: Settings, tmp_path: Path) -> Iterator[Running]:
    running = Running(own_settings, tmp_path / "output")
    yield running
    if running.process.poll() is None:
        running.end(signal.SIGKILL)
    wait_until_gone(own_settings.var)
    out_of_memory(own_settings.laid_out)


def test_up_runs_the_whole_product_until_it_is_told_to_stop(
    up: Running, own_settings: Settings
) -> None:
    up.wait_for("^callcenter is ready$")
    for name in PARTS:
        pid = int(up.wait_for(rf"^{name} +ready  pid (\d+) +\S")[1])
        os.kill(pid, 0)
    address = f"http://{own_settings.web_address}:{own_settings.web_port}"
    up.wait_for(f"^web .*{re.escape(address)}$")
    with urllib.request.urlopen(f"{address}/health/ready", timeout=10) as answer:  # noqa: S310
        assert answer.status == 200

    assert file_system(own_settings.laid_out) in IN_MEMORY
    second = subprocess.run(
        ours("up"), env=environment(own_settings), capture_output=True, text=True, timeout=60
    )
    assert second.returncode == 1
    assert second.stderr.count("\n") == 1
    assert f"already running in {own_settings.var} (pid {up.process.pid})" in second.stderr

    victim = int(up.wait_for(r"^line-1 +ready  pid (\d+)")[1])
    os.kill(victim, signal.SIGKILL)
    up.wait_for(
        rf"^line-1 +died \(killed by SIGKILL\).*\n(?:.*\n)*?line-1 +ready  pid (?!{victim} )"
    )

    switch = int(up.wait_for(r"^asterisk +ready  pid (\d+)")[1])
    killed_at = time.monotonic()
    os.kill(switch, signal.SIGKILL)
    up.wait_for(rf"^asterisk +died.*\n(?:.*\n)*?asterisk +ready  pid (?!{switch} )")
    asyncio.run(is_answered(own_settings))
    assert time.monotonic() - killed_at < ANSWERING

    assert file_system(own_settings.laid_out) in IN_MEMORY  # also after the second one failed
    assert up.end(signal.SIGINT) == 0
    assert not own_settings.laid_out.is_symlink()
    assert up.output.read_text().endswith("stopping\nstopped\n")
    assert processes_of(own_settings.var) == []


async def is_answered(settings: Settings) -> None:
    """Somebody calls 111, and hears something."""
    server = (str(settings.sip_address), settings.sip_port)
    async with Phone(address=OPERATOR, server=server, user="+77010000001") as phone:
        call = await phone.call("111")
        await call.answered()
        call.send_silence()
        async with asyncio.timeout(5):
            while "first_rtp" not in call.moments:
                await asyncio.sleep(0.05)
        await call.hang_up()


def test_up_stops_also_while_it_is_starting(up: Running, own_settings: Settings) -> None:
    up.wait_for("^redis +ready")
    assert up.end(signal.SIGTERM) == 0
    assert processes_of(own_settings.var) == []


def test_a_killed_up_takes_the_whole_product_with_it(up: Running, own_settings: Settings) -> None:
    up.wait_for("^callcenter is ready$")
    assert len(processes_of(own_settings.var)) >= len(PARTS)
    up.end(signal.SIGKILL)
    wait_until_gone(own_settings.var)


def test_up_names_a_port_in_use_and_starts_nothing(own_settings: Settings, tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind((str(own_settings.sip_address), own_settings.sip_port))
        refused = subprocess.run(
            ours("up"), env=environment(own_settings), capture_output=True, text=True, timeout=60
        )
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert re.fullmatch(
        rf"callcenter: UDP port {own_settings.sip_port} .* in use by .*CALLCENTER_SIP_PORT.*\n",
        refused.stderr,
    )
    assert processes_of(own_settings.var) == []
